"""What is said of runs, on the screen."""

import sys
from collections.abc import Sequence
from typing import Any

from spectral_ssl.ground.time_left import in_words


def print_run(run: dict[str, Any]) -> None:
    """One run, as ``show_run`` gives it."""
    minutes = run["minutes"]
    trained = f"{run['epoch']} of {run['epochs']} epochs, {run['step']} steps"
    lines = {
        "run": run["folder"],
        "state": f"{run['state']}, {trained}" + (f", {in_words(60 * minutes)}" if minutes else ""),
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
