"""Complete images of several sizes with cGML (figure 19 of its paper: 32 to 256 pixels).

    python benchmarks/image_sizes.py --minutes 45 --workspace WS

Photographs of facades are prepared at each size, and cGML and a regression (the same networks on
the same error) are trained on them with the recipe ``inpaint``. The networks have one more level for
each doubling of the side, and ``--set width_limit=32`` makes them as wide as the paper's. The script
writes the errors over hidden squares to benchmarks/results/image-sizes.json and draws the same held-out
photographs at all sizes next to it. Existing maps and runs are used again. Raw data must be in
WS/raw/facades, because nothing is downloaded.
"""

import argparse
import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

import spectral_ssl
from data_prep.maps.reader import open_maps
from downstream.figures.predictions import draw_images
from downstream.figures.run import build_image_columns
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.files import replace_nan, write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.planning.recipe import read_recipe

RESULTS = Path(__file__).parent / "results"
SIDES = (32, 64, 128, 256)
METHODS = ("cgml", "regression")
SHOWN, SAMPLES = 4, 2  # photographs and predictions of each size in the figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True, type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES), help="pixels on a side")
    parser.add_argument("--minutes", type=float, default=45.0, help="of each training")
    parser.add_argument("--set", action="append", default=[], help="setting of all trainings; repeatable")
    parser.add_argument("--count", type=int, default=106)
    parser.add_argument("--modes", type=int, default=10)
    parser.add_argument("--name", default="", help="suffix of the names of runs and result")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    titles: list[str] = []
    columns: list[torch.Tensor] = []
    ids: list[str] = []
    for side in arguments.sides:
        path = prepare(side, arguments)
        runs = {method: trained(method, side, path, arguments) for method in METHODS}
        first, *others = runs.values()
        scores = spectral_ssl.evaluate(
            first, beside=others, data=path, count=arguments.count, modes=arguments.modes, workspace=arguments.workspace
        )
        rows.append({"side": side, "training": {name: summarise(run) for name, run in runs.items()}, "scores": scores})
        for row in scores["rows"]:
            print(f"{side} pixels, {row['answers']}: error of the best {row['error of the best']:.4f}", flush=True)
        maps = open_maps(path)
        chosen = maps.rows("test")[:SHOWN]
        ids = [maps.ids[row] for row in chosen]
        names, images = build_image_columns(first, *first.complete(maps, chosen, SAMPLES))
        titles += [f"{name}, {side}" for name in names]
        columns += images
        result = {"threads": arguments.threads, "environment": environment(), "recipe": "inpaint", "rows": rows}
        out = RESULTS / f"image-sizes{arguments.name}.json"
        write_text(out, json.dumps(replace_nan(result), indent=1, allow_nan=False) + "\n")
        draw_images(out.with_suffix(".png"), titles, columns, ids)
    print(out)


def prepare(side: int, arguments: argparse.Namespace) -> Path:
    """Return the photographs of facades at a size; prepare them if they are missing."""
    path: Path = arguments.workspace / "maps" / f"facades-A-{side}-pixels.h5"
    if not path.exists():
        spectral_ssl.prep("facades", size=side, side="A", out=path, workspace=arguments.workspace)
    return path


def trained(method: str, side: int, path: Path, arguments: argparse.Namespace) -> TrainedRun:
    """Return the run of a method at a size: load it if it is complete, resume it if it was interrupted, or train it."""
    # Another recipe or other settings are another run, which must not be taken for this one.
    plan = sha256("\n".join([str(read_recipe("inpaint")), *arguments.set]).encode()).hexdigest()[:8]
    folder = arguments.workspace / "runs" / f"image-sizes{arguments.name}-{side}-{method}-{plan}"
    if (folder / "checkpoints" / "last.pt").exists():
        run = load_run(folder)
        left = arguments.minutes - run.checkpoint["place"]["seconds"] / 60
        if left <= 0:
            return run
        return spectral_ssl.pretrain(path, resume=folder, max_minutes=left, workspace=arguments.workspace)
    if folder.exists():  # The run was interrupted before its first checkpoint.
        shutil.rmtree(folder)
    return spectral_ssl.pretrain(
        path,
        recipe="inpaint",
        method=method,
        epochs=100_000,
        max_minutes=arguments.minutes,
        settings=arguments.set,
        out=folder,
        workspace=arguments.workspace,
    )


def summarise(run: TrainedRun) -> dict[str, Any]:
    """Summarise the training of a run."""
    place = run.checkpoint["place"]
    return {
        "config": run.plan.to_toml(),
        "parameters": sum(value.numel() for value in run.method.parameters()),
        "steps": place["step"],
        "seconds": place["seconds"],
    }


if __name__ == "__main__":
    main()
