"""Super-resolution and the eight modes: what is seen, what is asked for, what is refused."""

import math

import pytest
import torch
from made_up import pictures, seeded

from data_prep.basis import pixel_basis, zernike_basis
from downstream.metrics.prediction_scores import score_mixture
from pretext.tasks.catalogue import TASKS
from pretext.tasks.super_resolve import SuperResolveConfig, super_resolve, super_resolve_problem
from pretext.tasks.toys.mixture import MixtureConfig, compute_mixture_centres, mixture, mixture_problem
from spectral_ssl.ground.errors import UserError


def test_no_more_is_seen_of_a_picture_than_the_means_of_its_squares() -> None:
    batch = pictures(3, 3, 16)
    example = super_resolve(batch, SuperResolveConfig(), seeded())
    assert torch.equal(example.target, batch.maps)
    assert example.weight.eq(1).all()
    squares = example.condition.unfold(2, 4, 4).unfold(3, 4, 4)  # (B, C, 4, 4, 4, 4)
    assert torch.equal(squares, squares[..., :1, :1].expand_as(squares))
    truth = batch.maps.unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(-1, -2))
    torch.testing.assert_close(squares[..., 0, 0], truth)
    # features are taken of what can be seen, not of the whole picture
    entry = TASKS["super-resolve"]
    assert torch.equal(entry.view(batch, SuperResolveConfig()), example.condition)


@pytest.mark.parametrize("zoom", [2, 8])
def test_other_zooms(zoom: int) -> None:
    config = SuperResolveConfig(zoom=zoom)
    batch = pictures(2, 1, 16)
    assert super_resolve_problem(batch.standardise.basis, config).zoom == zoom
    seen = super_resolve(batch, config, seeded()).condition
    assert len(seen[0].unique()) == (16 // zoom) ** 2


def test_pictures_that_cannot_be_made_smaller_are_refused() -> None:
    for basis, what in (
        (pixel_basis(1, 30, 32), "4 times smaller"),
        (pixel_basis(1, 4, 4), "images of 8 pixels"),
        (pixel_basis(6, 32, 32, paired=True), "single images"),
        (zernike_basis(8), "works on images"),
    ):
        with pytest.raises(UserError, match=what):
            super_resolve_problem(basis, SuperResolveConfig())


def test_points_lie_around_eight_centres_and_nothing_tells_which() -> None:
    batch = pictures(8000, 1, 1)
    example = mixture(batch, MixtureConfig(), seeded())
    assert example.condition.eq(0).all()
    points = example.target.flatten(1)
    distance, which = torch.cdist(points, compute_mixture_centres()).min(dim=1)
    assert torch.bincount(which, minlength=8).min() > 850
    # within three standard deviations lies 1 - exp(-9 / 2) of a Gaussian of two dimensions
    assert (distance < 0.3).double().mean().item() == pytest.approx(1 - math.exp(-4.5), abs=5e-3)
    offset = points - compute_mixture_centres()[which]
    assert offset.std().item() == pytest.approx(0.1, rel=0.03)
    assert points.var(dim=0).mean().item() == pytest.approx(0.5 + 0.01, rel=0.03)
    with pytest.raises(UserError, match="one pixel"):
        mixture_problem(pixel_basis(1, 8, 8), MixtureConfig())


def test_modes_are_counted_by_the_answers_within_their_reach() -> None:
    centres = compute_mixture_centres()
    # 100 answers: 90 on five modes, 3 on a sixth, 2 on a seventh (less than 2.5 %), 5 in the middle
    points = torch.cat([centres[:5].repeat(18, 1), centres[5:6].repeat(3, 1), centres[6:7].repeat(2, 1)])
    points = torch.cat([points + 0.2, torch.zeros(5, 2)])[:, :, None, None].view(10, 10, 2, 1, 1)
    found = score_mixture(points, 0.1)
    assert found["within 3 sigma"] == pytest.approx(0.95)
    assert found["modes found"] == 6
    assert found["smallest share"] == 0
    assert found["largest share"] == pytest.approx(0.18)
    assert score_mixture(points, 0.09)["within 3 sigma"] == 0  # 0.28 away is out of reach
