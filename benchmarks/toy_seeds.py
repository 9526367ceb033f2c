"""Train the toy of the first paper (section 4, figure 3) with several seeds, and compare it with its targets.

    python benchmarks/toy_seeds.py --workspace WS --seeds 0 1 2

The script trains the recipe ``toy`` on one thread for each seed and scores 50 predictions for each
of 400 inputs. It writes benchmarks/results/toy-seeds.json. The targets are: at least 99 % of the
predictions within 0.3 of a mode, both modes 50 +- 5 %, less than 0.5 % between them, under 60 s.
"""

import argparse
import json
from pathlib import Path

import torch

import spectral_ssl
from spectral_ssl.ground.files import replace_nan
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics

OUT = Path(__file__).parent / "results" / "toy-seeds.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[], help="settings of the training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in arguments.seeds:
        run = spectral_ssl.pretrain(
            recipe="toy", seed=seed, epochs=arguments.epochs, settings=arguments.set, workspace=arguments.workspace
        )
        result = spectral_ssl.evaluate(run, count=400, modes=50, workspace=arguments.workspace)
        moved = next(row for row in result["rows"] if row["answers"].endswith("moved by Z"))
        seconds = read_metrics(run.folder / "metrics.jsonl")[-1]["seconds"]
        rows.append({"seed": seed, "seconds": seconds, **moved})
        print(rows[-1])
    content = {"config": run.plan.to_toml(), "rows": rows, "environment": environment()}
    OUT.write_text(json.dumps(replace_nan(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
