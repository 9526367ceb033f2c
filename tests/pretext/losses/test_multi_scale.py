"""The Laplacian pyramid and SSIM agree with scipy's filters, and methods refuse them for data that are no images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

import spectral_ssl
from data_prep.maps.reader import MapFile
from pretext.data.batch import Example, Problem
from pretext.losses.multi_scale import laplacian_bands, laplacian_error, structure_error
from pretext.losses.reconstruction import STRUCTURE_WEIGHT, check_loss, sample_error
from pretext.method import build_seeded
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.optimisation import run_whole_batch
from pretext.randomness import rand, randn, seeded_generator
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

SHAPES = [(2, 3, 32, 32), (1, 1, 17, 30), (3, 2, 8, 9)]


def bands_by_scipy(image: np.ndarray) -> list[np.ndarray]:
    """Split one image (H, W)."""
    bands = []
    while min(image.shape) >= 8:
        smaller = image
        for axis in (0, 1):
            smaller = ndimage.convolve1d(smaller, np.array([1, 4, 6, 4, 1]) / 16, axis=axis, mode="mirror")
        smaller = smaller[::2, ::2]
        larger = np.zeros_like(image)
        larger[::2, ::2] = smaller
        for axis in (0, 1):
            larger = ndimage.convolve1d(larger, np.array([1, 4, 6, 4, 1]) / 8, axis=axis, mode="mirror")
        bands.append(image - larger)
        image = smaller
    return [*bands, image]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_bands_are_those_of_scipy(shape: tuple[int, ...]) -> None:
    images = randn(*shape, generator=seeded_generator(0))
    bands = laplacian_bands(images.double())
    for sample in range(shape[0]):
        for channel in range(shape[1]):
            expected = bands_by_scipy(images[sample, channel].double().numpy())
            assert len(bands) == len(expected) >= 2
            for ours, theirs in zip(bands, expected, strict=True):
                np.testing.assert_allclose(ours[sample, channel], theirs, atol=1e-14)
    for band, exact in zip(laplacian_bands(images), bands, strict=True):
        torch.testing.assert_close(band, exact.float(), atol=2e-6, rtol=0)


def ssim_by_scipy(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute SSIM at each pixel of two images (H, W) in [-1, 1], whose intensities begin at -1."""
    first, second = first + 1, second + 1

    def blur(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, 1.5, mode="mirror", radius=min(5, (min(image.shape) - 1) // 2))

    mean, other = blur(first), blur(second)
    variance, other_variance = blur(first**2) - mean**2, blur(second**2) - other**2
    covariance = blur(first * second) - mean * other
    above = (2 * mean * other + 0.0004) * (2 * covariance + 0.0036)
    return above / ((mean**2 + other**2 + 0.0004) * (variance + other_variance + 0.0036))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_structure_is_that_of_scipy(shape: tuple[int, ...], dtype: torch.dtype, bound: float) -> None:
    generator = seeded_generator(1)
    target = torch.tanh(randn(*shape, generator=generator)).double()
    near = (0.7 * target + 0.3 * torch.tanh(randn(*shape, generator=generator))).double()
    weight = (rand(*shape, generator=generator) < 0.5).double()
    errors = structure_error(near.to(dtype), target.to(dtype), weight.to(dtype))
    composed = torch.where(weight > 0, near, target)
    for sample in range(shape[0]):
        similarity = [
            ssim_by_scipy(*pair) for pair in zip(composed[sample].numpy(), target[sample].numpy(), strict=True)
        ]
        expected = -np.log((1 + np.average(np.stack(similarity), weights=weight[sample])) / 2)
        assert 0 < expected < 4
        assert abs(errors[sample].item() - expected) < bound


@pytest.mark.parametrize("error", ["pyramid", "ssim"])
def test_hidden_values_do_not_count_and_equal_images_have_no_error(error: str) -> None:
    generator = seeded_generator(2)
    target = torch.tanh(randn(4, 3, 16, 16, generator=generator))
    weight = (rand(4, 3, 16, 16, generator=generator) < 0.4).float()
    example = Example(target, target, weight)
    noise = randn(4, 3, 16, 16, generator=generator)
    assert sample_error(target + noise * (weight == 0), example, error).abs().max() < 1e-6
    assert (
        sample_error(target + 0.1 * noise, example, error) > sample_error(target + 0.05 * noise, example, error)
    ).all()
    # no sample knows of the others
    together, alone = (
        sample_error(target[rows] + 0.1 * noise[rows], Example(*(part[rows] for part in example)), error)
        for rows in (slice(None), slice(1, 2))
    )
    torch.testing.assert_close(together[1:2], alone)


def test_the_error_is_the_sum_of_its_parts() -> None:
    target, prediction = (torch.tanh(randn(2, 1, 16, 16, generator=seeded_generator(number))) for number in (3, 4))
    example = Example(target, target, torch.ones_like(target))
    absolute = sample_error(prediction, example)
    torch.testing.assert_close(absolute, (prediction - target).abs().mean(dim=(1, 2, 3)))
    bands = laplacian_error(prediction - target, example.weight)
    torch.testing.assert_close(
        bands, sum(band.abs().mean(dim=(1, 2, 3)) for band in laplacian_bands(prediction - target))
    )
    torch.testing.assert_close(sample_error(prediction, example, "pyramid"), absolute + bands)
    structure = STRUCTURE_WEIGHT * structure_error(prediction, target, example.weight)
    torch.testing.assert_close(sample_error(prediction, example, "ssim"), absolute + structure)


@pytest.mark.parametrize("error", ["pyramid", "ssim"])
def test_gradients(error: str) -> None:
    target = torch.tanh(randn(1, 1, 9, 8, generator=seeded_generator(5))).double()
    example = Example(target, target, torch.ones_like(target))
    # no difference is 0 in any band, where the absolute value has no gradient
    prediction = (target + randn(1, 1, 9, 8, generator=seeded_generator(6))).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: sample_error(values, example, error), prediction, eps=1e-7)


@pytest.mark.parametrize("method", ["cgml", "regression", "context-encoder", "pix2pix", "bicycle-gan", "mr-gan"])
def test_spectral_maps_are_refused_in_one_line(random_maps: MapFile, tmp_path: Path, method: str) -> None:
    with pytest.raises(UserError, match=r"loss=ssim is for images.*that are no images.*loss=l1"):
        spectral_ssl.pretrain(
            random_maps, method=method, task="denoise", settings=("method.loss=ssim",), out=tmp_path / "run"
        )


def test_small_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"method.loss=pyramid is for images of at least 8 x 8 pixels: got images of 4"):
        check_loss("pyramid", Problem(condition=(1, 4, 4), target=(1, 4, 4), bounded=True))
    check_loss("l1", Problem(condition=(1, 4, 4), target=(1, 4, 4), bounded=True))


def test_the_structure_counts_in_dark_and_bright_places_alike() -> None:
    ones = torch.ones(1, 1, 16, 16)
    pattern = 0.05 * randn(1, 1, 16, 16, generator=seeded_generator(7))
    for level in (-0.8, 0.0, 0.8):  # a small change of brightness, whatever the sign of the values
        assert structure_error(level + pattern + 0.02, level + pattern, ones) < 0.02
    blank = torch.zeros(1, 1, 16, 16, requires_grad=True)  # what a new network predicts of a bright target
    structure_error(blank, 0.8 + pattern, ones).sum().backward()
    assert blank.grad is not None
    assert blank.grad.abs().max() > 1e-4


def test_a_target_of_16_bits_is_compared_in_full_precision() -> None:
    flat = torch.full((1, 1, 16, 16), 0.996)
    for error in ("l1", "pyramid", "ssim"):
        exact = sample_error(flat, Example(flat, flat.bfloat16().float(), torch.ones_like(flat)), error)
        rounded = sample_error(flat, Example(flat, flat.bfloat16(), torch.ones_like(flat)), error)
        torch.testing.assert_close(rounded, exact)
        assert rounded >= 0


@pytest.mark.parametrize("method", ["cgml", "regression", "pix2pix"])
@pytest.mark.parametrize("error", ["pyramid", "ssim"])
def test_methods_are_trained_with_the_error(tmp_path: Path, method: str, error: str) -> None:
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    maps = spectral_ssl.prep(f"folder:{tmp_path}", out=tmp_path / "maps.h5")
    losses = {}
    for name in ("l1", error):
        run = spectral_ssl.pretrain(
            maps, method=method, task="inpaint", epochs=1, settings=("width=4", "code=8", f"loss={name}"),
            precision="bf16", out=tmp_path / name, workspace=tmp_path,
        )  # fmt: skip
        losses[name] = read_metrics(run.folder / "metrics.jsonl")[-1]["loss"]
    assert losses[error] > 1.2 * losses["l1"]


def test_another_error_may_move_the_latent() -> None:
    """With latent_loss=l1 z moves as it does under l1, and the networks learn ssim."""
    problem = Problem(condition=(1, 16, 16), target=(1, 16, 16), bounded=True)
    small = {"latent": 2, "width": 4, "code": 8, "hidden": 8, "steps": 3, "latent_gain": 10.0}
    settings = {"l1": {"loss": "l1"}, "ssim": {"loss": "ssim"}, "both": {"loss": "ssim", "latent_loss": "l1"}}
    target = torch.tanh(randn(4, 1, 16, 16, generator=seeded_generator(1)))
    example = Example(target.flip(-1), target, torch.ones_like(target))
    paths, losses = {}, {}
    for name, chosen in settings.items():
        method = build_seeded(CGML, 0, build_config(CGMLConfig, {**small, **chosen}, "method"), problem)
        with torch.no_grad():
            frozen = method.generator.precompute(*method._bottleneck(example.condition))
        paths[name], start = method.latent_path(frozen, example, torch.zeros(4, 2))
        # the reported start is of the error that the networks learn
        predicted = method.generator.from_precomputed(frozen, torch.zeros(4, 2))
        assert start == pytest.approx(sample_error(predicted, example, chosen["loss"]).mean().item(), rel=1e-5)
        losses[name] = run_whole_batch(method, example, seeded_generator(3))["loss"]
    assert torch.equal(paths["both"], paths["l1"])
    assert not torch.equal(paths["both"], paths["ssim"])
    assert losses["both"] > losses["l1"] + 0.05  # the error of the structure is added
