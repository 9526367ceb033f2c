"""Masks: their share of the area, their form, and that nothing but the seed decides."""

import pytest
import torch

from pretext.tasks.corruption.masks import (
    compute_square_sides,
    draw_squares,
    draw_strokes,
    make_border_ring,
    make_centre_square,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(28, 28), (64, 64), (20, 33)])
@pytest.mark.parametrize("share", [0.02, 0.25, 0.8])
def test_strokes_have_exactly_their_share(size: tuple[int, int], share: float) -> None:
    masks = draw_strokes(16, *size, torch.full((16,), share), seeded())
    assert masks.shape == (16, 1, *size)
    assert (masks.sum(dim=(1, 2, 3)) == round(share * size[0] * size[1])).all()
    assert len(masks.flatten(1).unique(dim=0)) == 16


def test_strokes_are_thick_lines_that_reach_everywhere_and_grow_with_their_share() -> None:
    small = draw_strokes(300, 32, 32, torch.full((300,), 0.1), seeded())
    large = draw_strokes(300, 32, 32, torch.full((300,), 0.3), seeded())
    assert (large | ~small).all(), "a larger share holds the smaller ones of the same draw"
    assert large.any(dim=0).all()
    # no specks: nearly every hidden pixel has a hidden neighbour on two sides of it at least
    padded = torch.nn.functional.pad(large.float(), (1, 1, 1, 1))
    around = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    assert (around[large] >= 2).float().mean() > 0.98
    # and no rectangles: their boxes are mostly empty
    rows, columns = large.any(dim=3).sum(dim=2), large.any(dim=2).sum(dim=2)
    filled = large.sum(dim=(1, 2, 3)) / (rows * columns)[:, 0]
    assert filled.median() < 0.7


def test_squares_have_their_share_and_reach_every_pixel() -> None:
    shares = torch.tensor([0.1, 0.25, 0.5]).repeat(700)
    masks = draw_squares(2100, 40, 60, shares, seeded())[:, 0]
    for share in (0.1, 0.25, 0.5):
        rows, columns = compute_square_sides(40, 60, share)
        chosen = masks[torch.isclose(shares, torch.tensor(share))]
        assert (chosen.any(dim=2).sum(dim=1) == rows).all()
        assert (chosen.any(dim=1).sum(dim=1) == columns).all()
        assert (chosen.sum(dim=(1, 2)) == rows * columns).all()
        assert abs(rows * columns / 2400 - share) < 0.02
    assert masks.any(dim=0).all()


def test_the_square_in_the_middle_is_in_the_middle() -> None:
    mask = make_centre_square(64, 64, 0.25)
    assert mask.sum() == 32 * 32
    assert torch.equal(mask, mask.flip(2))
    assert torch.equal(mask, mask.flip(3))


def test_the_ring_is_what_lies_within_so_many_pixels() -> None:
    inside = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    inside[..., 4:6, 0:3] = True
    expected = torch.zeros_like(inside)
    expected[..., 2:8, 0:5] = True
    assert torch.equal(make_border_ring(inside, 2), expected & ~inside)
    assert not make_border_ring(inside, 0).any()


@pytest.mark.parametrize("draw", [draw_squares, draw_strokes])
def test_the_seed_decides(draw) -> None:
    shares = torch.full((4,), 0.2)
    first, second, other = (draw(4, 32, 32, shares, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
