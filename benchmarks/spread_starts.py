"""Compare predictions whose first latents keep apart with predictions whose first latents are independent.

    python benchmarks/spread_starts.py --run RUN --data WS/maps/facades-validation.h5 --count 40 --modes 10

The networks are the same, and so are the conditions. Each kind of start is drawn with several
seeds. The script reports the mean absolute error of the best of K predictions and of all of them,
and the mean absolute difference of two predictions of one condition, both for latents as they are
drawn and as Z moves them. Repeat ``--run`` and ``--data`` for more runs. It writes
benchmarks/results/spread-starts.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from data_prep.maps.reader import open_maps
from pretext.data.batch import Example
from pretext.losses.reconstruction import compose
from pretext.methods.cgml.latent_path import draw_latents
from pretext.methods.cgml.spread_latents import draw_spread_latents
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment

RESULT = Path(__file__).parent / "results" / "spread-starts.json"
STARTS = {"independent": draw_latents, "spread": draw_spread_latents}


def score(predictions: torch.Tensor, example: Example) -> dict[str, float]:
    """Compute the mean errors of the best and of all, and the mean difference of neighbours, of (B, K, C, S, S)."""
    predictions = compose(example, predictions)
    weight = example.weight[:, None]
    errors = ((predictions - example.target[:, None]).abs() * weight).flatten(2).sum(dim=2) / weight.flatten(2).sum(
        dim=2
    )
    differences = (predictions[:, 1:] - predictions[:, :-1]).abs() * weight
    return {
        "error": errors.mean().item(),
        "error of the best": errors.min(dim=1).values.mean().item(),
        "difference of two": (differences.flatten(2).sum(dim=2) / weight.flatten(2).sum(dim=2)).mean().item(),
    }


def compare(run: TrainedRun, data: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Score both kinds of starts on the held-out rows of a map file, averaged over seeds."""
    maps = open_maps(data)
    rows = select_held_out_rows(maps, arguments.count)
    example = run.example(maps, rows, seeded_generator(0, "complete", 0))
    path, count = run.method.config.path, len(rows)
    results = []
    for kind, draw in STARTS.items():
        scores: dict[str, list[dict[str, float]]] = {"random z": [], "z moved by Z": []}
        for seed in arguments.seeds:
            generator = seeded_generator(seed, "spread starts")
            first = draw(arguments.modes * count, path.latent, path.domain, generator, arguments.modes)
            first = first.view(arguments.modes, count, path.latent)
            both, _ = run.method.complete_along_path(
                example.condition, arguments.modes, generator, at=[0, path.steps_at_inference], first=first
            )
            for name, predictions in zip(scores, both, strict=True):
                scores[name].append(score(predictions, example))
        for name, each in scores.items():
            means = {key: sum(row[key] for row in each) / len(each) for key in each[0]}
            results.append({"run": run.folder.name, "starts": kind, "latents": name, **means})
            print(results[-1], flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", required=True, help="run of cGML; repeatable")
    parser.add_argument("--data", type=Path, action="append", required=True, help="map file of each run")
    parser.add_argument("--count", type=int, default=40, help="number of held-out objects")
    parser.add_argument("--modes", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    if len(arguments.run) != len(arguments.data):
        parser.error(f"{len(arguments.run)} runs and {len(arguments.data)} map files: give --data once for each --run")
    torch.set_num_threads(1)
    rows = [
        row
        for run, data in zip(arguments.run, arguments.data, strict=True)
        for row in compare(load_run(run), data, arguments)
    ]
    settings = {"objects": arguments.count, "predictions": arguments.modes, "seeds": arguments.seeds}
    write_text(RESULT, json.dumps({"environment": environment(), **settings, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
