"""Print the tables of docs/trust.md from the results of ``make soak``: python tests/soak_table.py soak.jsonl."""

import json
import sys
from collections import Counter
from pathlib import Path


def main(path: Path) -> None:
    """Print, for each fault and each method, how many runs it struck and how many ended identical or wrong."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for key in ("fault", "method"):
        print(f"\n| {key} | runs | struck | identical | wrong |\n|---|---|---|---|---|")
        for name, runs in sorted(Counter(row[key] for row in rows).items()):
            selected = [row for row in rows if row[key] == name]
            wrong = sum(bool(row["wrong"]) for row in selected)
            print(f"| {name} | {runs} | {sum(row['struck'] for row in selected)} | {runs - wrong} | {wrong} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
