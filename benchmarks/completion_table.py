"""Write the tables of benchmarks/results/completion-*.json into docs/completion-results.md.

python benchmarks/completion_table.py [NAME ...]     # prints the tables of these names only
"""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
MANUAL = Path(__file__).parent.parent / "docs" / "completion-results.md"
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
    return "\n".join(lines) + "\n"


def main() -> None:
    names = sys.argv[1:] or sorted(path.stem.removeprefix("completion-") for path in RESULTS.glob("completion-*.json"))
    tables = [table(json.loads((RESULTS / f"completion-{name}.json").read_text(encoding="utf-8"))) for name in names]
    if sys.argv[1:]:
        print("\n".join(tables))
        return
    text = MANUAL.read_text(encoding="utf-8").partition(BEGIN)[0]
    MANUAL.write_text(text + BEGIN + "\n\n" + "\n".join(tables), encoding="utf-8")
    print(MANUAL)


if __name__ == "__main__":
    main()
