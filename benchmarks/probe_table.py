"""Turn the JSON of probes into the table of docs/results.md: ``python benchmarks/probe_table.py RESULT.json ...``."""

import json
import sys
from pathlib import Path


def main() -> None:
    for name in sys.argv[1:]:
        result = json.loads(Path(name).read_text(encoding="utf-8"))
        machine = result["environment"]
        print(
            f"{result['target']}: {result['train']} training and {result['test']} test objects, "
            f"{result['classes']} classes, split: {result['split']}; commit {machine['commit']}; "
            f"{machine['processor']}, {machine['cores']} cores; torch {machine['packages']['torch']}\n"
        )
        print("| features | dimensions | linear probe, mean ± std | test s.e. | 10 neighbours | C chosen |")
        print("|---|---|---|---|---|---|")
        for row in result["rows"]:
            strengths = ", ".join(f"{strength:g}" for strength in sorted(set(row["strengths"])))
            print(
                f"| {row['features']} | {row['dimensions']} | {row['mean']:.3f} ± {row['std']:.3f} "
                f"| {row['standard_error']:.3f} | {row['neighbours']:.3f} | {strengths} |"
            )
        print()


if __name__ == "__main__":
    main()
