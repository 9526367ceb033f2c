"""Results of verbs as tables on the screen."""

import sys
from pathlib import Path
from typing import Any

from spectral_ssl.ground.printable import printable, show


def _plain(text: str) -> Any:
    """A text as it is: names of classes and runs may hold what rich takes for styles, or commands to a terminal."""
    from rich.text import Text

    return Text("\n".join(map(printable, text.split("\n"))))


def print_probe(result: dict[str, Any]) -> None:
    """The table of ``probe``."""
    from rich.console import Console
    from rich.table import Table

    turned = "" if result["pose"] == "aligned" else f"; turned at random: {result['pose']}"
    other = result["trained_on_digest"] != result["maps_digest"]
    elsewhere = f", trained on {result['trained_on']}" if other else ""
    title = (
        f"{result['target']}: {result['classes']} classes, {result['train']} train, {result['test']} test "
        f"(split: {result['split']}){turned}; run {Path(result['run']).name}{elsewhere}\n"
        f"{len(result['seeds'])} seeds: of the folds, and of the untrained network's parameters"
    )
    columns = _probe_columns(result)
    table = Table(title=_plain(title))
    for name in columns[0]:
        table.add_column(_plain(name), justify="left" if name == "features" else "right")
    for cells in columns:
        table.add_row(*map(_plain, cells.values()))
    # rich breaks lines at 80 columns where the output is no terminal, which would tear the table
    Console(width=None if sys.stdout.isatty() else 120 + 20 * max(0, len(columns[0]) - 5)).print(table)
    for choice in result["layer_choices"]:
        best = f"{choice['scores'][choice['layer']]:.3f} by cross-validation on {choice['samples']} training samples"
        show(f"layer of the {choice['row']}: {choice['layer']}, {best}, of {len(choice['scores'])} tried")


def _probe_columns(result: dict[str, Any]) -> list[dict[str, str]]:
    """The cells of each row by their columns: those of the probes that were asked for."""
    probes, several = result["probes"], len(result["seeds"]) > 1

    def spread(scores: dict[str, Any], shown: bool) -> str:
        return f"{scores['mean']:.3f} +- {scores['std']:.3f}" if shown else f"{scores['mean']:.3f}"

    lines = []
    for row in result["rows"]:
        cells = {"features": row["features"], "dimensions": str(row["dimensions"])}
        if "linear" in probes:
            cells["linear probe, mean +- std"] = spread(row, several)
            cells["standard error of the test"] = f"{row['standard_error']:.3f}"
        if "svm" in probes:
            cells["linear SVM"] = spread(row["svm"], several)
        if "layer" in probes:
            cells["single layer"] = spread(row["layer"], several)
        if "neighbours" in probes:
            cells["10 neighbours"] = f"{row['neighbours']:.3f}"
        for scores in row["few_shot"]:
            cells[f"{scores['labels']} label{'s' * (scores['labels'] > 1)} a class"] = spread(scores, True)
        if "retrieval" in probes:
            cells["class mAP"] = f"{row['retrieval']:.3f}"
        if "fine-tune" in probes:
            tuned = row["fine_tune"]
            cells["fine-tuned (upper reference)"] = f"{tuned['accuracy']:.3f}" if tuned else "-"
        lines.append(cells)
    return lines


def print_scores(result: dict[str, Any]) -> None:
    """The table of ``evaluate``."""
    from rich.console import Console
    from rich.table import Table

    title = (
        f"{result['task']} on {result['data']}: {result['inputs']} inputs, {result['answers_to_each']} answers to each"
    )
    table = Table(title=_plain(title))
    names = list(dict.fromkeys(name for row in result["rows"] for name in row if name != "answers"))
    table.add_column("answers")
    for name in names:
        table.add_column(_plain(name), justify="right")
    for row in result["rows"]:
        table.add_row(_plain(row["answers"]), *(f"{row[name]:.4g}" if name in row else "-" for name in names))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if result["measured_by"].get("warning"):
        show(f"{result['measured_by']['Frechet']}: {result['measured_by']['warning']}")
