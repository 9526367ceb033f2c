"""The figure of a study's results."""

from pathlib import Path
from typing import Any

from spectral_ssl.ground.files import atomic_path

TITLES = {
    "preference": "share of trials in which it was picked as most realistic",
    "fooling": "share of fakes taken for real",
    "realism": "realism score 2 - 2F",
}
MEASURE = {"psychophysical": "preference", "turing": "fooling", "realism": "realism"}


def draw_results(path: Path, results: dict[str, Any]) -> None:
    """Draw one line for each method: the value, its 95 % interval, and the value that guessing gives.

    Parameters
    ----------
    path : Path
        PNG file to write.
    results : dict
        Results as ``study_results`` returns them.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    measure = MEASURE[results["kind"]]
    rows = [row for row in results["scores"] if row[measure]]
    figure = Figure(figsize=(6.4, 1.5 + 0.45 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for number, row in enumerate(rows):
        estimate = row[measure]
        value = estimate["value"]
        if estimate["low"] is not None:
            axis.plot([estimate["low"], estimate["high"]], [number, number], color="#27508f", linewidth=3, alpha=0.45)
        axis.plot(value, number, "o", color="#27508f", markersize=8)
        # above the dot neither the interval nor the line of chance crosses the text
        axis.annotate(f"{value:.2f}", (value, number), (0, 7), textcoords="offset points", ha="center")
    chance = results["scores"][0]["chance"]
    axis.axvline(chance, color="0.5", linestyle="--", linewidth=1)
    axis.annotate("guessing", (chance, 1), (3, -10), xycoords=("data", "axes fraction"), textcoords="offset points",
                  color="0.35", fontsize=8)  # fmt: skip
    axis.set_yticks(range(len(rows)), [row["method"] for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.75)
    highest = max([1.0, chance, *(row[measure]["high"] or row[measure]["value"] for row in rows)])
    axis.set_xlim(-0.03, 1.04 * highest)
    axis.set_xlabel(TITLES[measure])
    excluded = len(results["excluded"])
    included = results["participants"] - excluded
    axis.set_title(
        f"{results['kind']} study of {results['data']}: {included} participants ({excluded} excluded), "
        f"{results['answers_that_count']} valid answers" + (f"\n{results['note']}" if results.get("note") else ""),
        fontsize=9,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
