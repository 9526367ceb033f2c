"""Pictures of a run, as PNG files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pretext.data.batch import Example
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.terminal import printable

NOT_DRAWN = ("epoch", "step", "seconds", "waiting")


def draw_answers(path: Path, example: Example, answers: Tensor, ids: list[str], channel: int = 0) -> None:
    """One line a spectral map: what the network saw, its answers, the truth.

    Parameters
    ----------
    path : Path
        PNG to write.
    example : Example
        Conditions and targets, (B, C, H, W).
    answers : Tensor, shape (B, modes, C, H, W)
        What the network gave.
    ids : list of str
        Names of the samples.
    channel : int
        The radial channel k drawn.
    """
    columns = [example.condition[:, channel], *answers[:, :, channel].unbind(dim=1), example.target[:, channel]]
    titles = ["seen", *(f"answer {number + 1}" for number in range(answers.shape[1])), "truth"]
    largest = float(example.target[:, channel].abs().max()) or 1.0
    _draw_grid(path, titles, columns, ids, cmap="RdBu_r", vmin=-largest, vmax=largest)


def draw_images(path: Path, titles: list[str], columns: list[Tensor], ids: list[str]) -> None:
    """Pictures in columns, one line a sample.

    Parameters
    ----------
    path : Path
        PNG to write.
    titles : list of str
        One a column.
    columns : list of Tensor, each of shape (B, 1 or 3, H, W)
        In [-1, 1]; grey or colour.
    ids : list of str
        Names of the lines.
    """
    shown = [((column.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1) for column in columns]  # (B, H, W, 1 or 3)
    shown = [column[..., 0] if column.shape[-1] == 1 else column for column in shown]
    _draw_grid(path, titles, shown, ids, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _draw_grid(path: Path, titles: list[str], columns: list[Tensor], ids: list[str], **style: Any) -> None:
    figure, axes = _figure(len(ids), len(columns))
    for column, (title, values) in enumerate(zip(titles, columns, strict=True)):
        axes[0, column].set_title(title, fontsize=9)
        for row in range(len(ids)):
            axes[row, column].imshow(values[row].numpy(), **style)
    for row, name in enumerate(ids):
        axes[row, 0].set_ylabel(printable(name), rotation=0, ha="right", va="center", fontsize=8, parse_math=False)
    _save(figure, path)


def draw_losses(path: Path, metrics: list[dict[str, Any]]) -> None:
    """What the rows of ``metrics.jsonl`` hold, as small curves side by side over the epochs, one for each name.

    A name need not be in every row: features are watched less often than losses.
    """
    names = [name for name in dict.fromkeys(key for row in metrics for key in row) if name not in NOT_DRAWN]
    figure, axes = _figure(1, len(names), ticks=True, width=2.6)
    for axis, name in zip(axes[0], names, strict=True):
        known = [(row["epoch"], row[name]) for row in metrics if row.get(name) is not None]
        axis.plot(*zip(*known, strict=True) if known else ([], []), marker="." if len(known) < 30 else "")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=7)
    _save(figure, path)


def draw_convergence(path: Path, metrics: dict[str, list[dict[str, Any]]]) -> None:
    """The error of several runs' answers in one plot, over epochs and over time (cGML, figure 18).

    Parameters
    ----------
    path : Path
        PNG to write.
    metrics : dict of str to list of dict
        Rows of ``metrics.jsonl`` by the runs' names. ``answer_error`` is drawn: the mean absolute error of what each
        method answers to the same 64 training samples. (The losses are no measure of that: cGML's is the error at a
        latent that has seen the target.)
    """
    figure, axes = _figure(1, 2, ticks=True, width=4.5, height=3.2)
    for axis, over in zip(axes[0], ("epoch", "seconds"), strict=True):
        for name, rows in metrics.items():
            axis.plot([row[over] for row in rows], [row["answer_error"] for row in rows], label=name)
        axis.set_xlabel(over)
        axis.set_ylabel("error of answers to training samples")
        axis.tick_params(labelsize=7)
    axes[0, 0].legend(fontsize=7)
    _save(figure, path)


def _figure(
    rows: int, columns: int, ticks: bool = False, width: float = 1.3, height: float = 0.0
) -> tuple[Any, NDArray[Any]]:
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    figure = Figure(figsize=(width * columns + 1, (height or width) * rows + 0.6), layout="constrained")
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False))
    if not ticks:
        for axis in axes.flat:
            axis.set_xticks([])
            axis.set_yticks([])
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
