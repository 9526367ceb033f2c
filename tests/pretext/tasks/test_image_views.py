"""Views of images: each alteration does what it says, by the laws it says, and each image by itself."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from data_prep.basis import Basis, pixel_basis, zernike_basis
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.tasks.image_views import (
    LIGHTNESS,
    TO_YUV,
    ImageViewsConfig,
    build_colour_matrices,
    draw_frames,
    image_views,
    image_views_problem,
    make_view,
    recolour,
)
from pretext.tasks.views import ViewsConfig, views_problem
from spectral_ssl.ground.errors import UserError

PLAIN = {"crop": 1.0, "ratio": 1.0, "mirror": False, "jittered": 0.0, "grey": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 12, channels: int = 3, height: int = 9, width: int = 12) -> Tensor:
    return 2 * torch.rand(count, channels, height, width, generator=seeded(5)) - 1


def batch_of(images: Tensor) -> Batch:
    basis: Basis = pixel_basis(*images.shape[1:])
    zero = torch.zeros(basis.shape)
    return Batch(images, Standardiser.from_statistics(basis, zero, zero + 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_unaltered_views_are_the_images(channels: int) -> None:
    images = noise(channels=channels)
    example = image_views(batch_of(images), ImageViewsConfig(**PLAIN), seeded())
    torch.testing.assert_close(example.condition, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(example.target, images, atol=1e-5, rtol=0)
    assert (example.weight == 1).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_views_are_images_of_the_size_asked_for_and_the_two_differ(channels: int) -> None:
    images = noise(channels=channels)
    config = ImageViewsConfig(side=6)
    example = image_views(batch_of(images), config, seeded())
    assert example.condition.shape == (12, channels, 6, 6)
    assert image_views_problem(pixel_basis(channels, 9, 12), config).condition == (channels, 6, 6)
    assert example.condition.abs().max() <= 1
    assert (example.condition - example.target).flatten(1).abs().amax(dim=1).min() > 0.05
    again = image_views(batch_of(images), config, seeded())
    assert torch.equal(example.condition, again.condition)
    assert torch.equal(example.target, again.target)
    other = image_views(batch_of(images), config, seeded(1))
    assert not torch.equal(example.condition, other.condition)


def test_each_image_is_altered_by_itself() -> None:
    images = noise()
    view = make_view(images, ImageViewsConfig(), seeded())
    changed = images.clone()
    changed[3] = -changed[3]
    others = make_view(changed, ImageViewsConfig(), seeded())
    same = [bool(torch.equal(before, after)) for before, after in zip(view, others, strict=True)]
    assert same == [row != 3 for row in range(12)]


def test_a_cut_of_an_image_without_edges_is_its_interpolation() -> None:
    # a plane is given back by bilinear interpolation wherever it is cut, away from the border's half pixels
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    plane = (0.5 * rows + 0.25 * columns) / 64 - 0.4
    config = ImageViewsConfig(**{**PLAIN, "crop": 0.3, "ratio": 1.5, "side": 16})
    views = make_view(plane.expand(50, 1, 64, 64), config, seeded())
    frames = draw_frames(50, config, seeded())
    centres = (torch.arange(16.0) + 0.5) / 8 - 1  # of the view's pixels, from -1 to 1
    x = frames[:, 0, 0, None] * centres + frames[:, 0, 2, None]
    y = frames[:, 1, 1, None] * centres + frames[:, 1, 2, None]
    place = lambda along: ((along + 1) * 32 - 0.5).clamp(0, 63)  # noqa: E731
    wanted = (0.5 * place(y)[:, :, None] + 0.25 * place(x)[:, None, :]) / 64 - 0.4
    torch.testing.assert_close(views[:, 0], wanted, atol=1e-4, rtol=0)


def test_the_law_of_the_frames() -> None:
    config = ImageViewsConfig(crop=0.25, ratio=1.2)
    frames = draw_frames(6000, config, seeded())
    width, height = frames[:, 0, 0], frames[:, 1, 1]
    assert (frames[:, 0, 1] == 0).all()
    assert (frames[:, 1, 0] == 0).all()
    assert ((width < 0).float().mean() - 0.5).abs() < 0.03  # mirrored
    assert (height > 0).all()
    assert (width.abs() + frames[:, 0, 2].abs()).max() <= 1 + 1e-6
    assert (height + frames[:, 1, 2].abs()).max() <= 1 + 1e-6
    inside = (width.abs() < 1) & (height < 1)
    area = (width.abs() * height)[inside]
    assert area.min() >= 0.25 - 1e-6
    stretch = (width.abs() / height)[inside].log()
    assert stretch.abs().max() <= math.log(1.2) + 1e-5
    assert abs(stretch.std().item() - math.log(1.2) / math.sqrt(3)) < 0.01
    small = (area < 0.5).sum() / 6000  # none of these is cut off: uniform in [0.25, 1]
    assert abs(small.item() - 1 / 3) < 0.03
    never = draw_frames(500, ImageViewsConfig(mirror=False), seeded())
    assert (never[:, 0, 0] > 0).all()


def one_change(name: str, largest: float) -> ImageViewsConfig:
    still = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    return ImageViewsConfig(**{**PLAIN, **still, "jittered": 1.0, name: largest})


def test_brightness_multiplies_the_values_from_0_to_1() -> None:
    images = noise(2000, 3, 2, 2)
    found = (recolour(images, one_change("brightness", 0.4), seeded()) + 1) / ((images + 1).clamp(min=1e-3))
    sure = (images > -0.9).all(dim=1).all(dim=1).all(dim=1)
    factors = found[sure].flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), atol=1e-3, rtol=0)
    assert factors.min() >= 0.6 - 1e-3
    assert factors.max() <= 1.4 + 1e-3
    assert abs(factors[:, 0].mean().item() - 1) < 0.02


def test_contrast_keeps_the_mean_lightness() -> None:
    images = noise(500)
    found = recolour(images, one_change("contrast", 0.5), seeded())
    lightness = torch.tensor(LIGHTNESS)
    means = [part.mean(dim=(2, 3)) @ lightness for part in (images, found)]
    torch.testing.assert_close(means[0], means[1], atol=1e-5, rtol=0)
    factors = (found - means[0][:, None, None, None]) / (images - means[0][:, None, None, None])
    middle = factors.flatten(1).median(dim=1).values
    assert 0.5 <= middle.min() < 0.55
    assert 1.45 < middle.max() <= 1.5


def test_contrast_is_about_the_mean_lightness_after_the_change_of_brightness() -> None:
    images = noise(50)
    mean = (images.mean(dim=(2, 3)) @ torch.tensor(LIGHTNESS))[:, None, None, None]
    # equal seeds draw equal changes, so each can be read from images with that change alone
    brighter, sharper = (recolour(images, one_change(name, 0.4), seeded()) for name in ("brightness", "contrast"))
    brightness = ((brighter + 1) / (images + 1)).flatten(1).median(dim=1).values[:, None, None, None]
    contrast = ((sharper - mean) / (images - mean)).flatten(1).median(dim=1).values[:, None, None, None]
    both = recolour(images, replace(one_change("brightness", 0.4), contrast=0.4), seeded())
    middle = brightness * (mean + 1) - 1
    torch.testing.assert_close(both, middle + contrast * (brighter - middle), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "largest"), [("saturation", 0.5), ("hue", 0.3), ("grey", 1.0)])
def test_colours_change_and_lightness_and_greys_stay(name: str, largest: float) -> None:
    images = 0.5 * noise()
    found = recolour(images, one_change(name, largest), seeded())
    lightness = torch.tensor(LIGHTNESS)
    torch.testing.assert_close(
        torch.einsum("bchw,c->bhw", found, lightness),
        torch.einsum("bchw,c->bhw", images, lightness),
        atol=1e-5,
        rtol=0,
    )
    greys = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(recolour(greys, one_change(name, largest), seeded()), greys, atol=1e-5, rtol=0)
    assert (found - images).abs().max() > 0.05
    if name == "grey":
        torch.testing.assert_close(found, found[:, :1].expand_as(found), atol=1e-5, rtol=0)


def test_a_turn_of_the_colours_is_a_rotation_of_their_differences() -> None:
    to_yuv = torch.tensor(TO_YUV)
    angle, factor = 0.7, 1.3
    matrix = build_colour_matrices(torch.tensor([factor]), torch.tensor([angle]))[0]
    colour = torch.tensor([0.8, 0.3, 0.1])
    before, after = to_yuv @ colour, to_yuv @ matrix @ colour
    assert after[0].item() == pytest.approx(before[0].item(), abs=1e-5)
    turned = torch.view_as_complex(before[1:].clone()) * factor * complex(math.cos(angle), math.sin(angle))
    torch.testing.assert_close(torch.view_as_complex(after[1:].clone()), turned, atol=1e-5, rtol=0)


def test_shares_of_changed_and_of_grey_images() -> None:
    images = 0.3 * noise(3000, 3, 2, 2)
    config = ImageViewsConfig(**{**PLAIN, "jittered": 0.7})
    same = torch.isclose(recolour(images, config, seeded()), images, atol=1e-5).flatten(1).all(dim=1)
    assert abs(same.float().mean().item() - 0.3) < 0.03
    grey = recolour(images, ImageViewsConfig(**{**PLAIN, "grey": 0.2}), seeded())
    shares = (grey.std(dim=1).amax(dim=(1, 2)) < 1e-4).float().mean()
    assert abs(shares.item() - 0.2) < 0.03


def test_images_and_shapes_are_shown_to_each_other() -> None:
    with pytest.raises(UserError, match=r"picture-views works on images.*take the task views"):
        image_views_problem(zernike_basis(4), ImageViewsConfig())
    with pytest.raises(UserError, match="picture-views"):
        views_problem(pixel_basis(3, 8, 8), ViewsConfig())
    with pytest.raises(UserError, match="--side A"):
        image_views_problem(pixel_basis(6, 8, 8, paired=True), ImageViewsConfig())
    for bad in ({"crop": 0.0}, {"ratio": 0.5}, {"hue": 0.6}, {"grey": 1.1}, {"side": -1}):
        with pytest.raises(UserError, match=next(iter(bad))):
            ImageViewsConfig(**bad)
