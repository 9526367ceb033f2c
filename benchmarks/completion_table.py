"""Write the tables of benchmarks/results/completion-*.json into docs/completion-results.md.

    python benchmarks/completion_table.py
    python benchmarks/completion_table.py toy corrupted

With names the program only prints the tables of these results.
"""

import argparse
import json
import statistics
import textwrap
from pathlib import Path
from typing import Any

from downstream.metrics import write_difference
from spectral_ssl.ground.errors import unknown_name

RESULTS = Path(__file__).parent / "results"
MANUAL = Path(__file__).parent.parent / "docs" / "completion-results.md"
# the result of seed 0 of each group NAME-seed-1, NAME-seed-2, ...
FIRST_SEEDS = {
    "complete-modelnet10": "complete-modelnet10-two-sided",
    "inpaint-facades-ssim": "inpaint-facades-ssim-20-minutes",
    "translate-facades": "translate-facades-five",
    "translate-facades-tuned": "translate-facades-tuned",
}
SEED_COLUMNS = ("diversity (ST-LPIPS)", "ST-LPIPS", "Fréchet distance (EfficientNet-Lite0)", "reconstruction mAP")
BEGIN = "<!-- the tables below are made by benchmarks/completion_table.py -->"


def table(result: dict[str, Any]) -> str:
    """Format all evaluations of one recipe, and the training of each method."""
    machine = result["evaluations"][0]["environment"]
    lines = [
        f"### {result['name']}",
        "",
        f"Recipe `{result['recipe']}`, {result['evaluations'][0]['inputs']} held-out inputs, "
        f"{result['evaluations'][0]['answers_to_each']} predictions each.",
        f"Commit {machine['commit']}; {machine['processor']}, {result['threads']} thread; "
        f"torch {machine['packages']['torch']}.",
        "",
        "| method | parameters | steps | seconds of training |",
        "|---|---|---|---|",
    ]
    for method, training in result["training"].items():
        lines.append(
            f"| {method} | {training['parameters']:,} | {training['steps']} | {training['seconds'] or 0:.0f} |"
        )
    for evaluation in result["evaluations"]:
        names = list(dict.fromkeys(name for row in evaluation["rows"] for name in row if name != "answers"))
        settings = ", ".join(f"`{key}={value}`" for key, value in evaluation["task_settings"].items())
        lines += ["", *textwrap.wrap(f"Task settings: {settings}.", 100, break_on_hyphens=False), ""]
        lines += ["| predictions | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for row in evaluation["rows"]:
            values = [f"{row[name]:.4g}" if row.get(name) is not None else "" for name in names]
            lines.append(f"| {row['answers']} | " + " | ".join(values) + " |")
        lines += difference_table(evaluation.get("differences", []))
    return "\n".join(lines) + "\n"


def difference_table(differences: list[dict[str, Any]]) -> list[str]:
    """Format the paired differences to the L1 network, which older results do not have."""
    rows = [row for row in differences if row["reference"] == "regression"]
    if not rows:
        return []
    names = [name for name in rows[0] if name not in {"predictions", "reference"}]
    lines = ["", "Differences to `regression` on the same inputs with intervals of 95 %, and shares of inputs"]
    lines += ["with a smaller error:", ""]
    lines += ["| predictions | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in rows:
        lines.append(f"| {row['predictions']} | " + " | ".join(write_difference(row[name]) for name in names) + " |")
    return lines


def read_result(name: str) -> dict[str, Any]:
    """Read a stored result."""
    result: dict[str, Any] = json.loads((RESULTS / f"completion-{name}.json").read_text(encoding="utf-8"))
    return result


def seed_tables() -> list[str]:
    """Format what trainings with other seeds give: cGML as at inference, and L1, a line for each seed."""
    parts = []
    for group, first in FIRST_SEEDS.items():
        names = [first, *(name for name in list_results() if name.startswith(f"{group}-seed-"))]
        if len(names) == 1:
            continue
        rows = [seed_row(read_result(name)) for name in names]
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [f"### {group}, {len(rows)} seeds", "", f"| result | {' | '.join(columns)} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for name, row in zip(names, rows, strict=True):
            lines.append(f"| {name} | " + " | ".join(str(row.get(column, "")) for column in columns) + " |")
        ratios = [float(row["ratio"]) for row in rows]
        mean = f"Mean of the ratios {statistics.mean(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}."
        parts.append("\n".join([*lines, "", mean]) + "\n")
    return parts


def seed_row(result: dict[str, Any]) -> dict[str, str]:
    """Take the numbers of one seed from a result."""
    evaluation = result["evaluations"][0]
    named = {row["answers"]: row for row in evaluation["rows"]}
    cgml, first = named["cgml, z moved by Z"], named["regression"]
    row = {
        "best of cGML": f"{cgml['error of the best']:.4f}",
        "L1": f"{first['error of the best']:.4f}",
        "ratio": f"{cgml['error of the best'] / first['error of the best']:.3f}",
    }
    for difference in evaluation.get("differences", []):
        if (difference["predictions"], difference["reference"]) == ("cgml, z moved by Z", "regression"):
            row["difference"] = write_difference(difference["error of the best"])
    for column in SEED_COLUMNS:
        if cgml.get(column) is not None:
            row[f"{column}: cGML / L1"] = f"{cgml[column]:.4g} / {first[column]:.4g}"
    return row


def list_results() -> list[str]:
    """List the names of the results, sorted."""
    return sorted(path.stem.removeprefix("completion-") for path in RESULTS.glob("completion-*.json"))


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and end with a message if a result is unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(list_results())}")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in list_results():
            parser.error(str(unknown_name("result", name, list_results())))
    return arguments


def main() -> None:
    chosen: list[str] = parse_arguments().names
    tables = [table(read_result(name)) for name in chosen or list_results()]
    if chosen:
        print("\n".join(tables))
        return
    text = MANUAL.read_text(encoding="utf-8").partition(BEGIN)[0]
    MANUAL.write_text(text + BEGIN + "\n\n" + "\n".join([*seed_tables(), *tables]), encoding="utf-8")
    print(MANUAL)


if __name__ == "__main__":
    main()
