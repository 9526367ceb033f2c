"""Results of verbs as tables on the screen."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spectral_ssl.ground.progress import format_duration
from spectral_ssl.ground.terminal import printable, show


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


def print_run(run: dict[str, Any]) -> None:
    """One run, as ``show_run`` gives it."""
    minutes = run["minutes"]
    trained = f"{run['epoch']} of {run['epochs']} epochs, {run['step']} steps"
    lines = {
        "run": run["folder"],
        "state": f"{run['state']}, {trained}" + (f", {format_duration(60 * minutes)}" if minutes else ""),
        "trained": f"{run['method']} on {run['task']}",
        "data": run["data"],
        "size": f"{run['megabytes']:g} MB",
        "made by": ", ".join(f"{name} {value}" for name, value in run["environment"].items() if value is not None),
    }
    for name, value in lines.items():
        print(f"{name:9} {value}")
    for section, settings in run["settings"].items():
        print(f"\n[{section}]")
        for name, value in settings.items():
            print(f"  {name:24} {value}")
    if run["metrics"]:
        print("\nmetrics, the last of each")
        for name, value in run["metrics"].items():
            print(f"  {name:24} {_short(value)}")
    for probe, scores in run["probes"].items():
        print(f"\n{probe}")
        for name, value in scores.items():
            print(f"  {name:40} {value:.3f}")


def print_comparison(result: dict[str, Any]) -> None:
    """Several runs side by side, as ``compare_runs`` gives them."""
    for part, title in (("settings", "where settings differ"), ("metrics", "the last of each"), ("probes", "probes")):
        if result[part]:
            print_table(title, ["", *result["runs"]], [[name, *map(_short, row)] for name, row in result[part].items()])


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; the first column is text, and where the output is no terminal no line is broken."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(escape(name), justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    widest = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    Console(width=None if sys.stdout.isatty() else sum(widest) + 3 * len(widest) + 1).print(table)


def _short(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_prep_estimate(found: dict[str, Any]) -> None:
    """What ``estimate_prep`` gives."""
    splits = ", ".join(f"{count} {split}" for split, count in found["splits"].items() if count)
    points = ", with their clouds" if found["keeps_points"] else ""
    print(f"prep {found['dataset']}: {found['objects']} objects ({splits}) -> {found['out']}")
    print(f"  {found['basis']} maps of shape {tuple(found['shape'])}{points}: {found['megabytes']:g} MB of", end=" ")
    print(f"{found['megabytes_free']} MB free")
    if found["exists"]:
        print("  the file exists: it would be refused without --overwrite")
    if found["unfinished"]:
        print("  unfinished work lies there: it would be gone on with, and takes less than this")
    each = f"{1000 * found['seconds_each']:.3g} ms an object on one core, measured on {found['measured']}"
    workers = found["workers"]
    processes = (
        f"the Dask workers of {workers}" if isinstance(workers, str) else f"{workers} process{'es' * (workers != 1)}"
    )
    print(f"  about {format_duration(found['seconds'])} with {processes} ({each})")
    if found["not_usable"]:
        print(f"  {found['not_usable']} of the {found['measured']} cannot be used")


def print_pretrain_estimate(found: dict[str, Any]) -> None:
    """What ``estimate_pretrain`` gives."""
    if found["prep"] is not None:
        print("the data is not prepared yet; that comes first:")
        print_prep_estimate(found["prep"])
        print("then the training: ask again once the map file is there")
        return
    print(f"pretrain {found['method']} on {found['task']}: {found['maps']} maps of {found['data']}")
    print(f"  {found['parameters']:,} parameters, {found['epochs']} epochs of batches of {found['batch_size']}", end="")
    print(f": {found['steps']} steps; a checkpoint of {found['megabytes']:g} MB, kept twice")
    before = f", {format_duration(found['seconds_before'])} before the first" if found["seconds_before"] >= 1 else ""
    print(f"  about {format_duration(found['seconds'])}", end=" ")
    print(f"({1000 * found['seconds_each']:.3g} ms a step, measured on {found['measured']}{before})")
    if found["stopped_by_limit"]:
        print("  the limit of time ends it before its last epoch")
