"""Train one recipe with several methods and score them on the same held-out inputs.

    python benchmarks/completion.py --recipe inpaint --workspace WS --name inpaint-facades --epochs 60

Each method trains on the same images in the same order for the same number of epochs. ``--minutes``
ends a training earlier, and the result holds the epochs that were completed. An existing run is
scored without more training, so an interrupted comparison can be resumed. Finish a partly trained
run with ``pretrain --resume`` first. The script writes benchmarks/results/completion-NAME.json, and
benchmarks/completion_table.py makes the tables of docs/completion-results.md from it. Raw data must
be in WS/raw/DATASET, because nothing is downloaded.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import spectral_ssl
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.files import replace_nan
from spectral_ssl.ground.run_folder import read_metrics

RESULTS = Path(__file__).parent / "results"
METHODS = ("cgml", "regression", "context-encoder", "pix2pix")
MORE_METHODS = ("bicycle-gan", "mr-gan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--name", required=True, help="name of the runs and of the result")
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--data", type=Path, help="map file that replaces the data set of the recipe")
    parser.add_argument("--score-data", type=Path, help="map file whose test split is predicted, if not that of --data")
    parser.add_argument("--methods", nargs="+", choices=METHODS + MORE_METHODS, default=METHODS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the trainings; the inputs that are scored stay the same"
    )
    parser.add_argument("--set", action="append", default=[], help="setting of all methods; repeatable")
    parser.add_argument("--set-cgml", action="append", default=[], help="setting of cGML only; repeatable")
    parser.add_argument(
        "--set-for", action="append", default=[], nargs=2, metavar=("METHOD", "KEY=VALUE"),
        help="setting of another method only; repeatable",
    )  # fmt: skip
    parser.add_argument("--ask", action="append", default=[], help="task setting of one more evaluation; repeatable")
    parser.add_argument("--second", type=Path, help="second sampling of the shapes, which gives the noise floor")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--modes", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for name, _ in arguments.set_for:
        if name not in arguments.methods:
            parser.error(f"--set-for {name}: the methods are {' '.join(arguments.methods)}")
    torch.set_num_threads(arguments.threads)
    runs = {method: _train(method, arguments) for method in arguments.methods}
    first, *others = runs.values()
    evaluations = [
        spectral_ssl.evaluate(
            first,
            beside=others,
            data=arguments.score_data or arguments.data,
            count=arguments.count,
            modes=arguments.modes,
            settings=settings,
            second=arguments.second,
            workspace=arguments.workspace,
        )
        for settings in [(), *([setting] for setting in arguments.ask)]
    ]
    result = {
        "name": arguments.name,
        "recipe": arguments.recipe,
        "threads": arguments.threads,
        "training": {method: _training(run) for method, run in runs.items()},
        "evaluations": evaluations,
    }
    out = RESULTS / f"completion-{arguments.name}.json"
    out.write_text(json.dumps(replace_nan(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(out)


def _train(method: str, arguments: argparse.Namespace) -> TrainedRun:
    folder = arguments.workspace / "runs" / f"{arguments.name}-{method}"
    if folder.exists():
        return load_run(folder)
    own = [setting for name, setting in arguments.set_for if name == method]
    return spectral_ssl.pretrain(
        arguments.data,
        recipe=arguments.recipe,
        method=method,
        epochs=arguments.epochs,
        max_minutes=arguments.minutes,
        seed=arguments.seed,
        settings=[*arguments.set, *(arguments.set_cgml if method == "cgml" else []), *own],
        out=folder,
        workspace=arguments.workspace,
    )


def _training(run: TrainedRun) -> dict[str, Any]:
    rows = read_metrics(run.folder / "metrics.jsonl")
    parameters = sum(value.numel() for value in run.method.parameters())
    return {
        "config": run.plan.to_toml(),
        "parameters": parameters,
        "epochs": run.checkpoint["place"]["epoch"],
        "steps": run.checkpoint["place"]["step"],
        "seconds": rows[-1]["seconds"] if rows else None,
        "curve": [{key: row[key] for key in ("epoch", "seconds", "loss", "answer_error")} for row in rows],
    }


if __name__ == "__main__":
    main()
