"""Measure which ingredient of the universe is worth what, inside the training split of ModelNet10.

    python benchmarks/universe_study.py --data modelnet10-zernike.h5 --workspace WS --shapes 12000 --epochs 12

Each cell is a set of ingredients (``data_prep.sources.universe.Ingredients``): all, all but one, or
the plain heaps of blocks. A cell prepares so many shapes, pretrains the recipe joint-embedding on
them, and scores the features as benchmarks/study.py does: a linear probe is fitted on 3100 objects
of the training split of the map file (``prep --dataset modelnet10``) and scored on its other 828.
No real shape is seen in pretraining, and no object of the test split is read. Each cell and seed
adds one line to benchmarks/results/universe-study.jsonl. Existing cells are skipped, so an
interrupted study can be resumed. ``--table`` prints the results.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from study import circumstances, inner_maps, score

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.prepare import prepare_maps
from data_prep.source import CloudRow, Item, Source
from data_prep.sources.universe import VERSION, Ingredients, universe_clouds

RESULTS = Path(__file__).parent / "results" / "universe-study.jsonl"
BATCH = 128


def cells() -> dict[str, Ingredients]:
    """Return the sets of ingredients, by name."""
    without = {f"without {each.name}": Ingredients(**{each.name: 0.0}) for each in fields(Ingredients)}
    return {"all": Ingredients(), "plain": Ingredients.build_plain(), **without}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--shapes", type=int, default=12000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(cells()), help="names of the cells to run [all]")
    parser.add_argument("--set", nargs="+", default=[], help="more settings of the training, such as width=16")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of the results")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table and (arguments.data is None or arguments.workspace is None):
        parser.error("give --data and --workspace, or --table")
    return arguments


def main() -> None:
    """Run the cells that are not finished, and print the table."""
    arguments = parse_arguments()
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        target = inner_maps(arguments.data, arguments.workspace)
        for seed in range(arguments.seeds):
            for name in arguments.only or cells():
                run_cell(name, seed, target, arguments)
    print("\n".join(table(arguments.out)))


def run_cell(name: str, seed: int, target: MapFile, arguments: argparse.Namespace) -> None:
    """Prepare, train, score and record one cell, unless that is done."""
    key = [name, seed, arguments.shapes, arguments.epochs, VERSION, arguments.set]
    if key in [row["key"] for row in finished(arguments.out)]:
        return
    ingredients = cells()[name]
    maps = prepare_cell(name, ingredients, seed, target, arguments)
    steps = arguments.epochs * math.ceil(len(maps) / BATCH)
    started = time.monotonic()
    run = spectral_ssl.pretrain(
        maps,
        recipe="joint-embedding",
        epochs=arguments.epochs,
        seed=seed,
        settings=[f"cosine_steps={steps}", *arguments.set],
        out=arguments.workspace / "runs" / f"{maps.path.stem}-{seed}-{started:.0f}",
        workspace=arguments.workspace,
    )
    row = {
        "key": key,
        "cell": name,
        "seed": seed,
        "ingredients": asdict(ingredients),
        "shapes": len(maps),
        "epochs": arguments.epochs,
        "steps": steps,
        "seconds": round(time.monotonic() - started),
        "config": run.plan.to_toml(),
        **score(run.encode_file(target), target, seed),
        **circumstances(target),
    }
    arguments.out.parent.mkdir(exist_ok=True)
    with arguments.out.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def prepare_cell(
    name: str, ingredients: Ingredients, seed: int, target: MapFile, arguments: argparse.Namespace
) -> MapFile:
    """Write the map file of a cell in the basis of the target, unless it exists."""
    values = json.dumps(asdict(ingredients))
    make = partial(make_clouds, ingredients=ingredients)
    source = Source(
        name="universe",
        kind="shapes",
        classes=(),
        items=tuple(Item(f"universe-{row:07d}", -1, "train", CloudRow(make, row)) for row in range(arguments.shapes)),
        digest=sha256(f"universe {VERSION} {values}".encode()).hexdigest(),
    )
    basis = zernike_basis(target.basis.degree, None, target.basis.points, seed)
    stem = f"universe-{name.replace(' ', '-')}-{arguments.shapes}-seed{seed}"
    return prepare_maps(source, basis, arguments.workspace / "maps" / f"{stem}.h5", keep_points=True)


def make_clouds(indices: NDArray[np.int64], seed: int, points: int, ingredients: Ingredients) -> NDArray[np.float32]:
    """Make clouds (B, points, 3) of some ingredients."""
    return universe_clouds(indices, seed=seed, points=points, ingredients=ingredients)


def finished(path: Path) -> list[dict[str, Any]]:
    """Read the rows of the results so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def table(path: Path) -> Iterator[str]:
    """Yield the lines of a Markdown table: means over seeds, best first."""
    yield "| ingredients | seeds | shapes | epochs | mean over classes | accuracy |"
    yield "|---|---|---|---|---|---|"
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in finished(path):
        groups.setdefault((row["cell"], row["shapes"], row["epochs"]), []).append(row)
    means = {
        key: np.mean([[row["mean_over_classes"], row["accuracy"]] for row in rows], 0) for key, rows in groups.items()
    }
    for key in sorted(groups, key=lambda each: -means[each][0]):
        cell, shapes, epochs = key
        yield f"| {cell} | {len(groups[key])} | {shapes} | {epochs} | {means[key][0]:.3f} | {means[key][1]:.3f} |"


if __name__ == "__main__":
    main()
