"""Draw what GANs reach while they train: scores, and the losses of both networks.

The panels are those of figures 4 and 8 of Durall et al. (VISAPP 2021), with a line for each cell of
a comparison.
"""

from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import atomic_path

SCORES = ("conditional accuracy", "class score (classifier)", "Fréchet distance (classifier)")
LOSSES = {"loss": "loss of G", "discriminator": "loss of D"}


def draw_training_curves(path: Path, rows: list[dict[str, Any]], losses: dict[str, list[dict[str, float]]]) -> None:
    """Draw a panel for each score and for each loss.

    Parameters
    ----------
    path : Path
        PNG file to write.
    rows : list of dict
        Scores, one row for each cell and time: "cell", "minutes", "seconds" and the scores.
    losses : dict of str to list of dict
        For each cell, rows with "seconds", "loss" and "discriminator".
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 3.4), layout="constrained")
    panels = list(figure.subplots(1, len(SCORES) + len(LOSSES)))
    for axes, score in zip(panels, SCORES, strict=False):
        for name in losses:
            own = [row for row in rows if row["cell"] == name]
            axes.plot([row["seconds"] for row in own], [row[score] for row in own], marker="o", label=name)
        axes.set(title=score, xscale="log")
        ticks = sorted({60 * row["minutes"] for row in rows})
        axes.set_xticks(ticks, [f"{each:g}" for each in ticks])
        axes.minorticks_off()
    panels[len(SCORES) - 1].set_yscale("log")
    for axes, (key, title) in zip(panels[len(SCORES) :], LOSSES.items(), strict=True):
        for name, own in losses.items():
            axes.plot([row["seconds"] for row in own], [row[key] for row in own], label=name)
        axes.set(title=title)
    for axes in panels:
        axes.set_xlabel("seconds of training")
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
