"""Draw the curves of a training: losses of a run, and the convergence of several runs."""

from pathlib import Path
from typing import Any

from downstream.figures.canvas import make_axes, save_figure

NOT_DRAWN = ("epoch", "step", "seconds", "waiting")
FEW_POINTS = 30  # Curves with fewer points have markers.


def draw_losses(path: Path, metrics: list[dict[str, Any]]) -> None:
    """Draw each metric of a run over the epochs, in small curves side by side.

    Parameters
    ----------
    path : Path
        PNG file to write.
    metrics : list of dict
        Rows of ``metrics.jsonl``. A name may be missing in some rows, because feature statistics
        are computed less often than losses.
    """
    names = [name for name in dict.fromkeys(key for row in metrics for key in row) if name not in NOT_DRAWN]
    figure, axes = make_axes(1, len(names), size=(2.6 * len(names) + 1, 3.2))
    for axis, name in zip(axes[0], names, strict=True):
        points = [(row["epoch"], row[name]) for row in metrics if row.get(name) is not None]
        marker = "." if len(points) < FEW_POINTS else ""
        axis.plot(*zip(*points, strict=True) if points else ([], []), marker=marker)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=7)
    save_figure(figure, path)


def draw_convergence(path: Path, metrics: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the error of several runs' predictions over epochs and over time (cGML, figure 18).

    Parameters
    ----------
    path : Path
        PNG file to write.
    metrics : dict of str to list of dict
        Rows of ``metrics.jsonl`` by the names of the runs. The key ``answer_error`` is drawn. It is
        the mean absolute error of the predictions for the same training samples, at most 64. Losses cannot
        be compared between methods: that of cGML is the error at a latent optimised with the
        target.
    """
    figure, axes = make_axes(1, 2, size=(10.0, 3.8))
    for axis, over in zip(axes[0], ("epoch", "seconds"), strict=True):
        for name, rows in metrics.items():
            axis.plot([row[over] for row in rows], [row["answer_error"] for row in rows], label=name)
        axis.set_xlabel(over)
        axis.set_ylabel("error of predictions for training samples")
        axis.tick_params(labelsize=7)
    if any(metrics.values()):  # runs that ended within their first epoch have no row
        axes[0, 0].legend(fontsize=7)
    save_figure(figure, path)
