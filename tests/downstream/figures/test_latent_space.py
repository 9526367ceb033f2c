"""The figure of latent spaces shows their codes, and border effects are measured."""

from pathlib import Path

import numpy as np
import pytest
from figures.latent_space import LatentSpace, border_effect, draw_latent_spaces
from PIL import Image

from spectral_ssl.ground.errors import UserError


def test_codes_are_drawn_twice(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    codes = 6 * labels[:, None] + generator.normal(size=(40, 3))
    path = tmp_path / "codes.png"
    space = LatentSpace(codes, labels, np.zeros(40))
    draw_latent_spaces(path, {"": space}, ("a", "b"))
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    half = image.shape[1] // 2
    red, green, blue = (image[..., channel] for channel in range(3))
    # tab10's first and last colours on the left; on the right nothing but the red of failure, the colour bar aside
    assert ((blue - red) > 80)[:, :half].any()
    assert ((red - green) > 80)[:, half : half + half // 2].any()
    few = LatentSpace(codes[:5], labels[:5], np.zeros(5))
    with pytest.raises(UserError, match="too few codes"):
        draw_latent_spaces(path, {"all": space, "few": few}, ("a", "b"))


def test_each_space_has_a_row(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    failing, succeeding = (
        LatentSpace(6 * labels[:, None] + generator.normal(size=(40, 3)), labels, right)
        for right in (np.zeros(40), np.ones(40))
    )
    path = tmp_path / "spaces.png"
    draw_latent_spaces(path, {"failing": failing, "succeeding": succeeding}, ("a", "b"))
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    height, width = image.shape[:2]
    assert height > 0.8 * width
    middle = image[:, width // 2 : width // 2 + width // 4]
    red, green, blue = (middle[..., channel] for channel in range(3))
    assert ((red - green) > 80)[: height // 2].any()
    assert not ((red - green) > 80)[height // 2 :].any()
    assert ((green - blue) > 40)[height // 2 :].any()


def test_the_border_effect_is_the_difference_between_middle_and_border() -> None:
    codes = np.linspace(0, 1, 60)[:, None]
    labels = (codes[:, 0] > 0.5).astype(int)
    border = np.abs(codes[:, 0] - 0.5) < 0.05
    assert border_effect(codes, labels, np.where(border, 0.0, 1.0), 6) > 0.5
    assert border_effect(codes, labels, np.ones(60), 6) == 0
    assert np.isnan(border_effect(codes, np.zeros(60, np.int64), np.ones(60), 6))
