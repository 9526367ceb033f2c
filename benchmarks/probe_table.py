"""Turn the JSON of probes into the table of docs/results.md: ``python benchmarks/probe_table.py RESULT RESULT``."""

import argparse
import json
from pathlib import Path
from typing import Any

from downstream.probes.intervals import compute_accuracy_interval


def _cells(row: dict[str, Any], probes: set[str], samples: int) -> dict[str, str]:
    """Return the cells of a row by column, for the requested probes."""
    cells = {"features": row["features"], "dimensions": str(row["dimensions"])}
    if "linear" in probes:
        cells |= {"linear probe, mean ± std": _spread(row), "95 % interval": _interval(row["mean"], samples)}
    for name, column in (("svm", "linear SVM"), ("layer", "single layer")):
        if name in probes:
            cells[column] = _spread(row[name])
    if "neighbours" in probes:
        cells["10 neighbours"] = f"{row['neighbours']:.3f}"
    for scores in row.get("few_shot", ()):
        cells[f"{scores['labels']} label{'s' * (scores['labels'] > 1)} a class"] = _spread(scores)
    if "retrieval" in probes:
        cells["class mAP"] = f"{row['retrieval']:.3f}"
    if "fine-tune" in probes:
        tuned = row["fine_tune"]
        cells["fine-tuned (upper reference)"] = f"{tuned['accuracy']:.3f}" if tuned else "-"
    if "linear" in probes:
        cells["C chosen"] = ", ".join(f"{strength:g}" for strength in sorted(set(row["strengths"])))
    return cells


def _spread(scores: dict[str, Any]) -> str:
    """Format mean and standard deviation, or the mean alone for a single seed."""
    return f"{scores['mean']:.3f}" + (f" ± {scores['std']:.3f}" if scores["std"] is not None else "")


def _interval(accuracy: float, samples: int) -> str:
    """Format the 95 % interval of an accuracy; older files hold none, so it is computed."""
    low, high = compute_accuracy_interval(accuracy, samples)
    return f"{low:.3f}–{high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT", help="benchmarks/results/probe-*.json")
    for path in parser.parse_args().results:
        result = json.loads(path.read_text(encoding="utf-8"))
        machine = result["environment"]
        print(
            f"{result['target']}: {result['train']} training and {result['test']} test objects, "
            f"{result['classes']} classes, split: {result['split']}; commit {machine['commit']}; "
            f"{machine['processor']}, {machine['cores']} cores; torch {machine['packages']['torch']}\n"
        )
        lines = [
            _cells(row, set(result.get("probes", ("linear", "neighbours"))), result["test"]) for row in result["rows"]
        ]
        print(f"| {' | '.join(lines[0])} |")
        print("|---" * len(lines[0]) + "|")
        for cells in lines:
            print(f"| {' | '.join(cells.values())} |")
        if result.get("verdict"):
            print(f"\n{result['verdict']}")
        print()


if __name__ == "__main__":
    main()
