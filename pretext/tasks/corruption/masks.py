"""Where maps and images are hidden: random rectangles and squares, a square in the middle, irregular strokes, borders.

Every mask is bool and True where something is hidden. What is random comes from the generator given and from nothing
else, in an order of draws that does not depend on the machine.

Letters in shapes: B samples, H height, W width.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from pretext.randomness import rand, randn

# A stroke is about this part of the shorter side thick, and as many times its thickness long before the pen is lifted.
THICKNESS = 0.1
LENGTH = 8
# Standard deviation of the pen's turn in each step of one pixel, in radians.
TURN = 0.35
# The pen goes on until its path is this many times as long as would fill the picture if it never crossed itself; it
# then has covered nearly everything, in an order from which any share can be taken.
PATHS = 4


def random_spans(batch: int, length: int, smallest: float, largest: float, generator: torch.Generator) -> Tensor:
    """One random interval a sample: (B, length) bool, True inside; size and place uniform, at least one cell."""
    side = smallest + (largest - smallest) * rand(batch, 1, generator=generator)
    cells = (side * length).round().clamp(1, length)
    start = (rand(batch, 1, generator=generator) * (length - cells + 1)).floor()
    place = torch.arange(length)
    return (place >= start) & (place < start + cells)


def random_blocks(
    batch: int, height: int, width: int, smallest: float, largest: float, generator: torch.Generator
) -> Tensor:
    """One random rectangle a sample: (B, 1, H, W) bool, True inside; sides and place uniform, at least one cell."""
    rows = random_spans(batch, height, smallest, largest, generator)
    columns = random_spans(batch, width, smallest, largest, generator)
    return rows[:, None, :, None] & columns[:, None, None, :]


def square_sides(height: int, width: int, share: float) -> tuple[int, int]:
    """Rows and columns of a square (of a picture that is none: a rectangle of its form) of that share of the area."""
    return round(math.sqrt(share) * height), round(math.sqrt(share) * width)


def random_squares(batch: int, height: int, width: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """A square of a given share of the area at a random place: (B, 1, H, W) bool.

    Parameters
    ----------
    batch, height, width : int
        B, H, W.
    shares : Tensor, shape (B,), float
        Of the area, 0 to 1; sides are rounded to pixels (``square_sides``).
    generator : torch.Generator
        Draws the places.
    """

    def spans(length: int) -> Tensor:
        cells = (shares.double().sqrt() * length).round()[:, None]
        start = (rand(batch, 1, generator=generator) * (length - cells + 1)).floor()
        place = torch.arange(length)
        return (place >= start) & (place < start + cells)  # (B, length)

    rows, columns = spans(height), spans(width)
    return rows[:, None, :, None] & columns[:, None, None, :]


def centre_square(height: int, width: int, share: float) -> Tensor:
    """The square of a given share of the area in the middle: (1, 1, H, W) bool."""
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool)
    rows, columns = square_sides(height, width, share)
    top, left = (height - rows) // 2, (width - columns) // 2
    inside[..., top : top + rows, left : left + columns] = True
    return inside


def random_strokes(batch: int, height: int, width: int, shares: Tensor, generator: torch.Generator) -> Tensor:
    """Strokes of a thick pen that wanders about: (B, 1, H, W) bool, each of exactly its share of the area.

    The pen moves a pixel a step, turns a little at random, is thrown back by the borders and set down elsewhere after
    each stroke. Pixels are taken in the order in which it covers them, until they are ``round(share H W)``; the mask is
    therefore in one sample as large as in the next, and a larger one holds the smaller ones of the same draw.

    Parameters
    ----------
    batch, height, width : int
        B, H, W.
    shares : Tensor, shape (B,), float
        Of the area, 0 to 1.
    generator : torch.Generator
        Draws the paths.
    """
    thickness = 2 * (round(THICKNESS * min(height, width)) // 2) + 1  # odd, so that it has a middle
    stroke = LENGTH * thickness
    strokes = math.ceil(PATHS * height * width / (thickness * stroke))
    starts = rand(batch, strokes, 1, 2, generator=generator) * torch.tensor([height, width])
    heading = 2 * math.pi * rand(batch, strokes, 1, generator=generator)
    turns = TURN * randn(batch, strokes, stroke, generator=generator)
    angles = heading + turns.cumsum(dim=2)
    steps = torch.stack([angles.sin(), angles.cos()], dim=-1)
    places = (starts + steps.cumsum(dim=2)).flatten(1, 2)  # (B, T, 2)
    rows, columns = (_thrown_back(places[..., axis], side) for axis, side in enumerate((height, width)))
    times = torch.arange(places.shape[1], dtype=torch.float32).expand(batch, -1)
    never = float(places.shape[1])
    reached = torch.full((batch, height * width), never)
    reached = reached.scatter_reduce(1, rows * width + columns, times, "amin").view(batch, 1, height, width)
    # the pen is a square: what it covers is covered when its middle first comes near
    covered = -_largest_around(-reached, thickness // 2)
    order = covered.flatten(1).argsort(dim=1, stable=True)  # stable: one answer where pixels are covered together
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(height * width).expand(batch, -1))
    taken = (shares.double() * height * width).round()[:, None]
    return (rank < taken).view(batch, 1, height, width)


def border_ring(inside: Tensor, pixels: int) -> Tensor:
    """What lies outside a mask (B, 1, H, W) and at most ``pixels`` rows and columns away from it."""
    grown = _largest_around(inside.float(), pixels) > 0
    return grown & ~inside


def _largest_around(values: Tensor, pixels: int) -> Tensor:
    """The largest value in the square of so many pixels around each, (B, 1, H, W); rows and columns one by one."""
    side = 2 * pixels + 1
    along_rows = functional.max_pool2d(values, (1, side), stride=1, padding=(0, pixels))
    return functional.max_pool2d(along_rows, (side, 1), stride=1, padding=(pixels, 0))


def _thrown_back(places: Tensor, side: int) -> Tensor:
    """Whole numbers 0 .. side - 1 of places anywhere on a line, folded at both ends as between two mirrors."""
    folded = places.remainder(2 * side)
    return torch.minimum(folded, 2 * side - folded).floor().clamp(0, side - 1).long()
