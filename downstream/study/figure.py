"""The picture of a study's results."""

from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import atomic_path

TITLES = {
    "preference": "picked as the most realistic, share",
    "fooling": "made image taken for the real one, share",
    "realism": "realism score 2 - 2F",
}
MEASURE = {"psychophysical": "preference", "turing": "fooling", "realism": "realism"}


def draw_results(path: Path, results: dict[str, Any]) -> None:
    """One line a method: the value, its 95 % interval, and where guessing lies.

    Parameters
    ----------
    path : Path
        PNG to write.
    results : dict
        As ``study_results`` gives them.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    measure = MEASURE[results["kind"]]
    rows = [row for row in results["scores"] if row[measure]]
    figure = Figure(figsize=(6.4, 1.5 + 0.45 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows):
        found = row[measure]
        if found["low"] is not None:
            axis.plot([found["low"], found["high"]], [place, place], color="#27508f", linewidth=3, alpha=0.45)
        axis.plot(found["value"], place, "o", color="#27508f", markersize=8)
        # above the dot, where no interval and no line of chance runs through it
        axis.annotate(f"{found['value']:.2f}", (found["value"], place), (0, 7), textcoords="offset points", ha="center")
    chance = results["scores"][0]["chance"]
    axis.axvline(chance, color="0.5", linestyle="--", linewidth=1)
    axis.annotate("guessing", (chance, 1), (3, -10), xycoords=("data", "axes fraction"), textcoords="offset points",
                  color="0.35", fontsize=8)  # fmt: skip
    axis.set_yticks(range(len(rows)), [row["method"] for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.75)
    highest = max([1.0, chance, *(row[measure]["high"] or row[measure]["value"] for row in rows)])
    axis.set_xlim(-0.03, 1.04 * highest)
    axis.set_xlabel(TITLES[measure])
    kept = results["participants"] - len(results["excluded"])
    axis.set_title(
        f"{results['kind']} study of {results['data']}: {kept} participants, {len(results['excluded'])} left out, "
        f"{results['answers_that_count']} answers" + (f"\n{results['note']}" if results.get("note") else ""),
        fontsize=9,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
