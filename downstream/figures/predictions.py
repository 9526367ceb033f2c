"""Draw predictions next to their inputs and the ground truth, as spectral maps or as images."""

from pathlib import Path
from typing import Any

from torch import Tensor

from downstream.figures.canvas import make_axes, save_figure
from pretext.data.batch import Example
from spectral_ssl.ground.terminal import printable

INPUT, TRUTH = "input", "ground truth"


def title_predictions(count: int) -> list[str]:
    """Return the titles of so many predictions."""
    return [f"prediction {number + 1}" for number in range(count)]


def draw_predictions(
    path: Path, example: Example, predictions: Tensor, ids: list[str], channel: int = 0, *, has_truth: bool = True
) -> None:
    """Draw spectral maps: the input, the predictions and the ground truth of each sample in a row.

    Parameters
    ----------
    path : Path
        PNG file to write.
    example : Example
        Conditions and targets, (B, C, H, W).
    predictions : Tensor, shape (B, K, C, H, W)
        K predictions for each condition.
    ids : list of str
        Names of the samples.
    channel : int
        Radial channel k to draw.
    has_truth : bool
        Whether the targets are the ground truth; otherwise only their range is used.
    """
    columns = [example.condition[:, channel], *predictions[:, :, channel].unbind(dim=1), example.target[:, channel]]
    titles = [INPUT, *title_predictions(predictions.shape[1]), TRUTH]
    if not has_truth:
        titles, columns = titles[:-1], columns[:-1]
    largest = float(example.target[:, channel].abs().max()) or 1.0
    _draw_grid(path, titles, columns, ids, cmap="RdBu_r", vmin=-largest, vmax=largest)


def draw_images(path: Path, titles: list[str], columns: list[Tensor], ids: list[str]) -> None:
    """Draw images in columns, with one row for each sample.

    Parameters
    ----------
    path : Path
        PNG file to write.
    titles : list of str
        Title of each column.
    columns : list of Tensor, each of shape (B, 1 or 3, H, W)
        Grey or colour images in [-1, 1].
    ids : list of str
        Names of the rows.
    """
    pixels = [((column.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1) for column in columns]  # (B, H, W, 1 or 3)
    pixels = [column[..., 0] if column.shape[-1] == 1 else column for column in pixels]
    _draw_grid(path, titles, pixels, ids, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_grid(path: Path, titles: list[str], columns: list[Tensor], ids: list[str], **style: Any) -> None:
    """Draw arrays (B, H, W) or (B, H, W, 3) in a grid: a column for each title, a row for each name."""
    size = (1.3 * len(columns) + 1, 1.3 * len(ids) + 0.6)
    figure, axes = make_axes(len(ids), len(columns), size=size, has_ticks=False)
    for column, (title, values) in enumerate(zip(titles, columns, strict=True)):
        axes[0, column].set_title(title, fontsize=9)
        for row in range(len(ids)):
            axes[row, column].imshow(values[row].numpy(), **style)
    for row, name in enumerate(ids):
        axes[row, 0].set_ylabel(printable(name), rotation=0, ha="right", va="center", fontsize=8, parse_math=False)
    save_figure(figure, path)
