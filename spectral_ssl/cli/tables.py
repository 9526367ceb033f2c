"""Print results of verbs as tables."""

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from spectral_ssl.ground.progress import format_duration
from spectral_ssl.ground.terminal import printable, show

PLAIN_WIDTH, NARROWEST = 80, 40  # columns where the output is no terminal, and the fewest that are used


def _plain(text: str) -> Any:
    """Return a text without styles: names of classes and runs may hold commands for rich or for the terminal."""
    from rich.text import Text

    return Text("\n".join(map(printable, text.split("\n"))))


def print_probe(result: dict[str, Any]) -> None:
    """Print the table of ``probe``, and its verdict in one sentence."""
    from rich.console import Console
    from rich.table import Table

    rotated = "" if result["pose"] == "aligned" else f"; rotated at random: {result['pose']}"
    other = result["trained_on_digest"] != result["maps_digest"]
    elsewhere = f", trained on {result['trained_on']}" if other else ""
    maker = f"{'encoder' if result.get('encoder') else 'run'} {Path(result['run']).name}{elsewhere}"
    count, folds = len(result["seeds"]), result["folds"]
    seeds = f"{count} {'repeat' if folds else 'seed'}{'s' * (count != 1)}"
    samples = f"{result['test']} samples" if folds else f"{result['train']} train, {result['test']} test"
    title = (
        f"{result['target']}: {result['classes']} classes, {samples} "
        f"(split: {result['split']}){rotated}; {maker}\n"
        f"{seeds}: of the folds, and of the untrained network's parameters; in brackets: 95 % intervals"
    )
    columns = _probe_columns(result)
    table = Table(title=_plain(title))
    for name in columns[0]:
        table.add_column(_plain(name), justify="left" if name == "features" else "right")
    is_better = bool(result["verdicts"]) and result["verdicts"][0]["outcome"] == "better"
    for cells in columns:
        # Only a difference that is shown is green.
        style = "green" if is_better and cells["features"] == "trained network" else None
        table.add_row(*map(_plain, cells.values()), style=style)
    # where the output is no terminal, rich breaks lines at 80 columns, which makes the table
    # unreadable
    Console(width=None if sys.stdout.isatty() else 120 + 24 * max(0, len(columns[0]) - 4)).print(table)
    for choice in result["layer_choices"]:
        best = f"{choice['scores'][choice['layer']]:.3f} by cross-validation on {choice['samples']} training samples"
        of = f"of {len(choice['scores'])} tried" + ("; each fold chose its own" if folds else "")
        show(f"layer of the {choice['row']}: {choice['layer']}, {best}, {of}")
    if result["verdict"]:
        show(result["verdict"])


def _probe_columns(result: dict[str, Any]) -> list[dict[str, str]]:
    """Return the cells of each row, by the columns of the probes that were run."""
    probes, several = result["probes"], len(result["seeds"]) > 1
    spread = f"std over {'repeats' if result['folds'] else 'seeds'}"

    def score(value: float, interval: Sequence[float]) -> str:
        return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"

    lines = []
    for row in result["rows"]:
        cells = {"features": row["features"], "dimensions": str(row["dimensions"])}
        if "linear" in probes:
            cells["linear probe"] = score(row["mean"], row["interval"])
            if several:
                cells[spread] = f"{row['std']:.3f}"
        for name, title in (("svm", "linear SVM"), ("layer", "single layer")):
            if name in probes:
                cells[title] = score(row[name]["mean"], row[name]["interval"])
        if "neighbours" in probes:
            cells["10 neighbours"] = score(row["neighbours"], row["neighbours_interval"])
        for scores in row["few_shot"]:
            title = f"{scores['labels']} label{'s' * (scores['labels'] > 1)} a class"
            cells[title] = score(scores["mean"], scores["interval"])
        if "retrieval" in probes:
            # No fold may have two samples of a class, and then nothing can be found.
            cells["class mAP"] = f"{row['retrieval']:.3f}" if isfinite(row["retrieval"]) else "-"
        if "fine-tune" in probes:
            tuned = row["fine_tune"]
            cells["fine-tuned (upper reference)"] = score(tuned["accuracy"], tuned["interval"]) if tuned else "-"
        lines.append(cells)
    return lines


def print_scores(result: dict[str, Any]) -> None:
    """Print the table of ``evaluate``."""
    from rich.console import Console
    from rich.table import Table

    modes = f"{result['answers_to_each']} predictions for each"
    title = f"{result['task']} on {result['data']}: {result['inputs_from']}, {modes}"
    table = Table(title=_plain(title))
    names = list(dict.fromkeys(name for row in result["rows"] for name in row if name != "answers"))
    table.add_column("predictions")
    for name in names:
        table.add_column(_plain(name), justify="right")
    for row in result["rows"]:
        table.add_row(_plain(row["answers"]), *(f"{row[name]:.4g}" if name in row else "-" for name in names))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    if result["differences"]:
        console.print(_build_difference_table(result["differences"]))
    if result["measured_by"].get("warning"):
        show(f"{result['measured_by']['Frechet']}: {result['measured_by']['warning']}")


def _build_difference_table(differences: Sequence[dict[str, Any]]) -> Any:
    """Build the table of paired differences, with the intervals of 95 %."""
    from rich.table import Table

    from downstream.metrics.paired_differences import DIFFERENCES, write_difference

    table = Table(title=DIFFERENCES)
    names = [name for name in differences[0] if name not in {"predictions", "reference"}]
    table.add_column("predictions")
    table.add_column("compared to")
    for name in names:
        table.add_column(_plain(name), justify="right")
    for row in differences:
        cells = (write_difference(row[name]) for name in names)
        table.add_row(_plain(row["predictions"]), _plain(row["reference"]), *cells)
    return table


def print_run(run: dict[str, Any]) -> None:
    """Print what ``show_run`` returns."""
    minutes = run["minutes"]
    trained = f"{run['epoch']} of {run['epochs']} epochs, {run['step']} steps"
    lines = {
        "run": run["folder"],
        "state": f"{run['state']}, {trained}" + (f", {format_duration(60 * minutes)}" if minutes else ""),
        "trained": f"{run['method']} on {run['task']}",
        "data": run["data"],
        **({"weights": f"started from {run['init_from']}"} if run["init_from"] else {}),
        **({"features": "whitened on shapes of the universe"} if run["whitened"] else {}),
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
        print(f"\n{probe}{' (of an earlier checkpoint)' if probe in run['outdated'] else ''}")
        for name, value in scores.items():
            print(f"  {name:40} {value:.3f}")
        if probe in run["verdicts"]:
            show(f"  {run['verdicts'][probe]}")


def print_comparison(result: dict[str, Any]) -> None:
    """Print what ``compare_runs`` returns."""
    for part, title in (("settings", "where settings differ"), ("metrics", "the last of each"), ("probes", "probes")):
        if result[part]:
            rows = [[name, *map(_short, values)] for name, values in result[part].items()]
            if part == "probes":
                for row in rows:
                    probe = row[0].partition(": ")[0]
                    for column, outdated in enumerate(result["outdated"], 1):
                        row[column] += " (earlier checkpoint)" * (probe in outdated and row[column] != "-")
            print_table(title, ["", *result["runs"]], rows)
    for name, verdicts in result["verdicts"].items():
        for run, verdict, outdated in zip(result["runs"], verdicts, result["outdated"], strict=True):
            if verdict:
                show(f"{name}, {run}{' (earlier checkpoint)' if name in outdated else ''}: {verdict}")


def print_entries(title: str, entries: Mapping[str, str]) -> None:
    """Print names with their descriptions, whose lines are wrapped at the width of the terminal, 80 elsewhere.

    Nothing is cut, and no word is broken: a path longer than a line stays whole.
    """
    show(f"{title}:" if entries else f"{title}: none")
    width = max(shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns, NARROWEST)
    names = [printable(name) for name in entries]
    column = 2 + max((len(name) for name in names if len(name) <= width // 3), default=0)
    for name, description in zip(names, map(printable, entries.values()), strict=True):
        first = f"  {name:{column - 2}}"
        is_wide = len(first) > column
        if is_wide:  # the description begins on a line of its own
            show(first)
        indent = " " * (4 if is_wide else column + 1)
        lines = textwrap.wrap(description, width - len(indent), break_long_words=False, break_on_hyphens=False)
        if not is_wide:
            show(f"{first} {lines[0]}" if lines else first.rstrip())
        for line in lines if is_wide else lines[1:]:
            show(f"{indent}{line}")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
    """Print a table whose first ``texts`` columns are text; no line is broken where the output is no terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    title, columns = printable(title), [printable(name) for name in columns]
    table = Table(title=escape(title) or None, title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(escape(name), justify="left" if index < texts else "right", overflow="fold")
    cells = [[printable(cell) for cell in row] for row in rows]
    for row in cells:
        table.add_row(*map(escape, row))
    widest = [max(len(row[index]) for row in (columns, *cells)) for index in range(len(columns))]
    width = max(sum(widest) + 3 * len(widest) + 1, len(title))
    Console(width=None if sys.stdout.isatty() else width).print(table)


def print_runs(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print runs as a table; as entries if the table is wider than the terminal, so that no name is broken."""
    columns = ("run", "trained", "epochs", "state", "probe")
    widest = [max(len(printable(row[index])) for row in (columns, *rows)) for index in range(len(columns))]
    if sum(widest) + 3 * len(widest) + 1 <= shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns:
        print_table(title, columns, rows, texts=2)
        return
    entries = {}
    for name, trained, epochs, state, probe in rows:
        parts = (trained, f"{epochs} epochs" if epochs else "", state, f"probe {probe}" if probe else "")
        entries[name] = ", ".join(part for part in parts if part)
    print_entries(title, entries)


def _short(value: object) -> str:
    """Return a value in few digits, and "-" for none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_prep_estimate(estimate: dict[str, Any]) -> None:
    """Print what ``estimate_prep`` returns."""
    splits = ", ".join(f"{count} {split}" for split, count in estimate["splits"].items() if count)
    points = ", with their point clouds" if estimate["keeps_points"] else ""
    objects = f"{estimate['objects']} object{'s' * (estimate['objects'] != 1)} ({splits})"
    print(f"prep {estimate['dataset']}: {objects} -> {estimate['out']}")
    print(
        f"  {estimate['basis']} maps of shape {tuple(estimate['shape'])}{points}: {estimate['megabytes']:g} MB of",
        end=" ",
    )
    print(f"{estimate['megabytes_free']} MB free")
    if estimate["exists"]:
        print("  the file exists with other maps: prep would refuse without --overwrite")
    if estimate["finished"]:
        print("  the file holds these maps already: prep would do nothing")
    if estimate["unfinished"]:
        print("  there is unfinished work: prep would resume it and take less time")
    each = f"{1000 * estimate['seconds_each']:.3g} ms an object on one core, measured on {estimate['measured']}"
    workers = estimate["workers"]
    processes = (
        f"the Dask workers of {workers}" if isinstance(workers, str) else f"{workers} process{'es' * (workers != 1)}"
    )
    print(f"  about {format_duration(estimate['seconds'])} with {processes} ({each})")
    if estimate["not_usable"]:
        print(f"  {estimate['not_usable']} of the {estimate['measured']} failed")


def print_pretrain_estimate(estimate: dict[str, Any]) -> None:
    """Print what ``estimate_pretrain`` returns."""
    if estimate["prep"] is not None:
        print("the data is not prepared yet; this comes first:")
        print_prep_estimate(estimate["prep"])
        print("then the training: repeat the dry run when the map file exists")
        return
    for line in estimate["advice"]:
        print(line)
    print(f"pretrain {estimate['method']} on {estimate['task']}: {estimate['trained_on']}")
    if estimate["init_from"]:
        print(f"  starting from the weights of {estimate['init_from']}")
    print(
        f"  {estimate['parameters']:,} parameters, {estimate['epochs']} epochs of batches of {estimate['batch_size']}",
        end="",
    )
    print(f": {estimate['steps']} steps; a checkpoint of {estimate['megabytes']:g} MB, stored twice")
    before = (
        f", {format_duration(estimate['seconds_before'])} before the first" if estimate["seconds_before"] >= 1 else ""
    )
    print(f"  about {format_duration(estimate['seconds'])}", end=" ")
    print(f"({1000 * estimate['seconds_each']:.3g} ms a step, measured on {estimate['measured']}{before})")
    if estimate["stopped_by_limit"]:
        print("  the time limit ends it before its last epoch")
