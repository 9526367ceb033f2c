"""The table of docs/trust.md, from what ``make soak`` noted: python tests/soak_table.py soak.jsonl."""

import json
import sys
from collections import Counter
from pathlib import Path


def main(path: Path) -> None:
    """Print how often each fault struck, and what came of it, for each fault and for each method."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for key in ("fault", "method"):
        print(f"\n| {key} | runs | fault struck | bit for bit the uninterrupted run | wrong |\n|---|---|---|---|---|")
        for name, runs in sorted(Counter(row[key] for row in rows).items()):
            of_it = [row for row in rows if row[key] == name]
            wrong = sum(bool(row["wrong"]) for row in of_it)
            print(f"| {name} | {runs} | {sum(row['struck'] for row in of_it)} | {runs - wrong} | {wrong} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
