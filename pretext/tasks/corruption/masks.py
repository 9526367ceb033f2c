"""Masks of maps and images: rectangles, squares, irregular strokes, borders.

A mask is bool and True for hidden cells. All random numbers come from the generator that is passed,
in an order that does not depend on the machine.

Letters in shapes: B samples, H height, W width, T steps of a pen.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pretext.randomness import rand, randn

# A stroke's thickness is this share of the shorter side; its length is this many times its
# thickness.
THICKNESS = 0.1
LENGTH = 8
# Standard deviation of the pen's turn in each step of one pixel, in radians.
TURN = 0.35
# The pen's path is this many times as long as a path that fills the image without crossing itself.
# It then covers nearly all pixels, in an order from which any share can be taken.
PATHS = 4


def draw_spans(batch: int, length: int, smallest: float, largest: float, generator: torch.Generator) -> Tensor:
    """Draw an interval for each sample: (B, length) bool, True inside.

    Size and position are uniform, and it has at least one cell.

    ``smallest`` and ``largest`` are limits of its size as fractions of ``length``.
    """
    side = smallest + (largest - smallest) * rand(batch, 1, generator=generator)
    cells = (side * length).round().clamp(1, length)
    start = (rand(batch, 1, generator=generator) * (length - cells + 1)).floor()
    position = torch.arange(length)
    return (position >= start) & (position < start + cells)


def draw_blocks(
    batch: int, height: int, width: int, smallest: float, largest: float, generator: torch.Generator
) -> Tensor:
    """Draw a rectangle for each sample: (B, 1, H, W) bool, True inside.

    Sides and position are uniform, and it has at least one cell.

    ``smallest`` and ``largest`` are limits of its sides as fractions of ``height`` and ``width``.
    """
    rows = draw_spans(batch, height, smallest, largest, generator)
    columns = draw_spans(batch, width, smallest, largest, generator)
    return rows[:, None, :, None] & columns[:, None, None, :]


def hides_everything(smallest: float, sides: Sequence[int]) -> bool:
    """Tell whether ``draw_spans`` hides every cell along all of these axes, even at the smallest size."""
    return all(round(smallest * side) >= side for side in sides)


def compute_square_sides(height: int, width: int, share: float) -> tuple[int, int]:
    """Compute the rows and columns of a square of a share of the area.

    Its aspect ratio is that of the image.
    """
    return round(math.sqrt(share) * height), round(math.sqrt(share) * width)


def draw_squares(batch: int, height: int, width: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a square of a given share of the area at a random position.

    Parameters
    ----------
    batch, height, width : int
        The sizes B, H and W.
    shares : Tensor, shape (B,), float
        Shares of the area, 0 to 1; sides are rounded to pixels (``compute_square_sides``).
    generator : torch.Generator
        The random number generator of the positions.

    Returns
    -------
    Tensor, shape (B, 1, H, W), bool
        True inside.
    """

    def draw_sides(length: int) -> Tensor:
        cells = (shares.double().sqrt() * length).round()[:, None]
        start = (rand(batch, 1, generator=generator) * (length - cells + 1)).floor()
        position = torch.arange(length)
        return (position >= start) & (position < start + cells)  # (B, length)

    rows, columns = draw_sides(height), draw_sides(width)
    return rows[:, None, :, None] & columns[:, None, None, :]


def make_centre_square(height: int, width: int, share: float) -> Tensor:
    """Make a square of a given share of the area in the centre: (1, 1, H, W) bool, True inside."""
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool)
    rows, columns = compute_square_sides(height, width, share)
    top, left = (height - rows) // 2, (width - columns) // 2
    inside[..., top : top + rows, left : left + columns] = True
    return inside


def draw_strokes(batch: int, height: int, width: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Draw strokes of a thick pen that moves at random and covers exactly a share of the area.

    The pen moves one pixel in a step, turns a little at random, and is reflected at the borders.
    After each stroke it continues at another random position. Pixels are masked in the order in
    which the pen covers them, until there are ``round(share H W)``. So all masks of one share have
    the same size, and for the same random numbers a mask of a larger share contains those of
    smaller shares.

    Parameters
    ----------
    batch, height, width : int
        The sizes B, H and W.
    shares : Tensor, shape (B,), float
        Shares of the area, 0 to 1.
    generator : torch.Generator
        The random number generator of the paths.

    Returns
    -------
    Tensor, shape (B, 1, H, W), bool
        True for covered pixels.
    """
    thickness = 2 * (round(THICKNESS * min(height, width)) // 2) + 1  # odd, so that the pen has a central pixel
    stroke = LENGTH * thickness
    strokes = math.ceil(PATHS * height * width / (thickness * stroke))
    starts = rand(batch, strokes, 1, 2, generator=generator) * torch.tensor([height, width])
    heading = 2 * math.pi * rand(batch, strokes, 1, generator=generator)
    turns = TURN * randn(batch, strokes, stroke, generator=generator)
    angles = heading + turns.cumsum(dim=2)
    steps = torch.stack([angles.sin(), angles.cos()], dim=-1)
    positions = (starts + steps.cumsum(dim=2)).flatten(1, 2)  # (B, T, 2)
    rows, columns = (_reflect(positions[..., axis], side) for axis, side in enumerate((height, width)))
    times = torch.arange(positions.shape[1], dtype=torch.float32).expand(batch, -1)
    never = float(positions.shape[1])
    reached = torch.full((batch, height * width), never)
    reached = reached.scatter_reduce(1, rows * width + columns, times, "amin").view(batch, 1, height, width)
    # the pen is a square, so a pixel is covered when the pen's centre first comes within half its
    # thickness
    covered = -_take_local_maximum(-reached, thickness // 2)
    order = covered.flatten(1).argsort(
        dim=1, stable=True
    )  # stable: the order of pixels covered at the same time is defined
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(height * width).expand(batch, -1))
    masked = (shares.double() * height * width).round()[:, None]
    return (rank < masked).view(batch, 1, height, width)


def make_border_ring(inside: Tensor, pixels: int) -> Tensor:
    """Make the mask of the pixels around a mask (B, 1, H, W).

    They are outside of it, and at most ``pixels`` rows and columns away.
    """
    grown = _take_local_maximum(inside.float(), pixels) > 0
    return grown & ~inside


def _take_local_maximum(values: Tensor, pixels: int) -> Tensor:
    """Compute the maximum over the square of ``pixels`` around each pixel, (B, 1, H, W)."""
    # the maximum over rows and then over columns needs fewer comparisons than that over the square
    side = 2 * pixels + 1
    along_rows = functional.max_pool2d(values, (1, side), stride=1, padding=(0, pixels))
    return functional.max_pool2d(along_rows, (side, 1), stride=1, padding=(pixels, 0))


def _reflect(positions: Tensor, side: int) -> Tensor:
    """Reflect positions on a line at both ends of [0, side], and round down to 0 .. side - 1."""
    folded = positions.remainder(2 * side)
    return torch.minimum(folded, 2 * side - folded).floor().clamp(0, side - 1).long()
