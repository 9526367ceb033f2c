"""Choose networks and views for features of ModelNet10, inside the training split.

    python benchmarks/study.py --data modelnet10-zernike.h5 --workspace WS --threads 1

The script reads only the training split of the map file (``prep --dataset modelnet10``). A copy in
WS holds 3100 of these objects as "train" and the other 828 as "test". The objects are chosen at
random, stratified by class. The copy holds no object of the real test split. Each cell pretrains on
the 3100 objects for some epochs. It fits the linear probe of
``downstream.probes.classifiers.logistic`` on them and scores it on the 828. Each cell and seed adds
one line to benchmarks/results/study-modelnet10.jsonl. Existing cells are skipped, so an interrupted
study can be resumed.

Choose by the mean over classes. The training split has up to nine times as many objects of one
class as of another, while the test split has nearly equal numbers. ``--table`` prints the results.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import spectral_ssl
from data_prep.layout import unfold
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from downstream.probes.classifiers.logistic import fit_logistic
from downstream.probes.rotated_maps import Pose, rotate_maps
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.provenance import created_by, environment
from spectral_ssl.ground.run_folder import read_metrics

RESULTS = Path(__file__).parent / "results" / "study-modelnet10.jsonl"
HELD_OUT = 828
BATCH = 128  # batch size of the recipe
KEYS = ("epochs", "steps", "training_seconds")
KEYS_OF_PROVENANCE = ("commit", "processor", "cores", "command")


class Cell(NamedTuple):
    """A pretraining and the pose in which its features are scored."""

    settings: tuple[str, ...] = ()
    recipe: str = "joint-embedding"
    method: str | None = None
    pose: Pose = "aligned"


# alterations of the task views, applied to whole objects before parts are removed
ALTERED = ("stretch=0.35", "turn=0.25", "mirror=true", "task.points=1024", "smallest=0.0")
ANY_TURN = f"turn={math.pi}"


def cells() -> dict[str, Cell]:
    """Return the cells to pretrain, by name."""
    parts = partial(Cell, recipe="complete-shape")
    return {
        "grid": Cell(),
        "grid, order 12": Cell(("highest_order=12",)),
        "grid, no crop": Cell(("crop=0",)),
        "grid, little stretch": Cell(("stretch=0.15",)),
        "grid, no stretch": Cell(("stretch=0",)),
        "grid, wider views": Cell(("crop=0.4", "stretch=0.5", "turn=0.4")),
        "grid, all 2048 points": Cell(("task.points=0",)),
        "perceptron": Cell(("encoder=perceptron",)),
        "perceptron, order 12": Cell(("encoder=perceptron", "highest_order=12")),
        "cGML, parts": parts(),
        "cGML, parts, grid": parts(("encoder=grid",)),
        "cGML, parts of altered objects, grid": parts(("encoder=grid", *ALTERED)),
        "cGML and joint embedding, parts of altered objects, grid": parts(
            ("encoder=grid", *ALTERED), method="joint-cgml"
        ),
        "L1, parts of altered objects, grid": parts(("encoder=grid", *ALTERED), method="regression"),
        "grid, any turn": Cell((ANY_TURN,), pose="vertical"),
        "grid, any turn, little stretch": Cell((ANY_TURN, "stretch=0.15"), pose="vertical"),
        "grid, any rotation": Cell(("pose=any",), pose="so3"),
        "grid, any rotation, little stretch": Cell(("pose=any", "stretch=0.15"), pose="so3"),
        "grid, principal axes": Cell(("pose=principal",), pose="so3"),
        "grid, principal axes, any turn": Cell(("pose=principal", ANY_TURN), pose="so3"),
    }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(cells()), help="names of the cells to run [all]")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table and (arguments.data is None or arguments.workspace is None):
        parser.error("give --data and --workspace, or --table")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    if not arguments.table:
        torch.set_num_threads(arguments.threads)
        maps = inner_maps(arguments.data, arguments.workspace)
        for seed in range(arguments.seeds):
            for name in arguments.only or cells():
                cell_row(name, seed, maps, arguments)
        free_row(maps)
    print_table()


def inner_maps(source: Path, workspace: Path) -> MapFile:
    """Split the training split of a map file once more, and return the new map file."""
    from sklearn.model_selection import train_test_split

    out = workspace / "maps" / f"{source.stem}-inner.h5"
    if out.exists():
        return open_maps(out)
    maps = open_maps(source)
    rows = maps.rows("train")
    fitted, _ = train_test_split(rows, test_size=HELD_OUT, random_state=0, stratify=maps.labels[rows])
    out.parent.mkdir(parents=True, exist_ok=True)
    points = maps.read_points(rows[:1]).shape[1]
    with (
        atomic_path(out) as temporary,
        MapWriter(
            temporary,
            maps.basis,
            source=maps.source,
            source_digest=maps.digest,
            classes=maps.classes,
            count=len(rows),
            created_by=created_by(),
            keep_points=points,
        ) as writer,
    ):
        for block in np.array_split(rows, max(1, len(rows) // 256)):
            splits = ["train" if row in set(fitted) else "test" for row in block]
            ids = [maps.ids[row] for row in block]
            writer.append(maps.read(block), ids, maps.labels[block].tolist(), splits, maps.read_points(block))
    return open_maps(out)


def free_row(maps: MapFile) -> None:
    """Score the raw coefficients for comparison, unless that is done."""
    if not any(row["cell"] == "raw coefficients" for row in finished()):
        features = unfold(maps.read(), maps.basis)
        append(
            {"cell": "raw coefficients", "seed": 0, "settings": [], **score(features, maps, 0), **circumstances(maps)}
        )


def cell_row(name: str, seed: int, maps: MapFile, arguments: argparse.Namespace) -> None:
    """Train, score and record one cell, unless that is done."""
    key = (name, seed, arguments.epochs)
    if key in {(row["cell"], row["seed"], row.get("epochs")) for row in finished()}:
        return
    cell = cells()[name]
    settings = list(cell.settings)
    if cell.recipe == "joint-embedding":
        batch = next((int(part.split("=")[1]) for part in settings if "batch_size" in part), BATCH)
        settings.append(f"cosine_steps={arguments.epochs * math.ceil(len(maps.rows('train')) / batch)}")
    started = time.monotonic()
    plain = name.replace(" ", "-").replace(",", "")
    out = arguments.workspace / "runs" / f"study-{plain}-{seed}-{arguments.epochs}-{started:.0f}"
    run = spectral_ssl.pretrain(
        maps,
        recipe=cell.recipe,
        method=cell.method,
        epochs=arguments.epochs,
        seed=seed,
        settings=settings,
        out=out,
        workspace=arguments.workspace,
    )
    metrics = read_metrics(run.folder / "metrics.jsonl")
    row: dict[str, Any] = {
        "cell": name,
        "seed": seed,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "settings": settings,
        "config": run.plan.to_toml(),
        "steps": run.checkpoint["place"]["step"],
        "training_seconds": metrics[-1]["seconds"],
        "last_epoch": metrics[-1],
        "pose": cell.pose,
        **score(run.encode_file(rotate_maps(maps, cell.pose)), maps, seed),
        **circumstances(maps),
    }
    append(row)


def score(features: np.ndarray, maps: MapFile, seed: int) -> dict[str, Any]:
    """Compute the accuracy on the held-out part of the training split, over objects and over classes."""
    train, held_out = maps.rows("train"), maps.rows("test")
    probe = fit_logistic(features[train], maps.labels[train], seed)
    hits = probe.predict(features[held_out]) == maps.labels[held_out]
    classes = [float(hits[maps.labels[held_out] == label].mean()) for label in np.unique(maps.labels)]
    return {
        "dimensions": features.shape[1],
        "accuracy": round(float(hits.mean()), 4),
        "mean_over_classes": round(float(np.mean(classes)), 4),
        "by_class": dict(zip(maps.classes, [round(value, 3) for value in classes], strict=True)),
        "cross_validation": round(probe.cross_validation, 4),
        "strength": probe.strength,
    }


def circumstances(maps: MapFile) -> dict[str, Any]:
    """Return the digest of the data, the commit and the machine."""
    provenance = environment()
    return {"maps_digest": maps.digest[:16], **{key: provenance[key] for key in KEYS_OF_PROVENANCE}}


def finished() -> list[dict[str, Any]]:
    """Read the rows of the results so far."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return [json.loads(line) for line in lines]


def append(row: dict[str, Any]) -> None:
    """Append a row to the results."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def table() -> Iterator[str]:
    """Yield the lines of a Markdown table, best first."""
    yield "| cell | seed | epochs | steps | seconds | dimensions | 828 held out | mean over classes | C |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in sorted(finished(), key=lambda row: -row["mean_over_classes"]):
        shown = [row["cell"], row["seed"], *(row.get(key, "") for key in KEYS), row["dimensions"]]
        scores = [f"{row['accuracy']:.3f}", f"{row['mean_over_classes']:.3f}", row["strength"]]
        yield "| " + " | ".join(str(value) for value in [*shown, *scores]) + " |"


def print_table() -> None:
    print("\n".join(table()))


if __name__ == "__main__":
    main()
