"""Compare a shipped encoder with the best training-free baseline on 40 small labelled tasks.

    python benchmarks/small_tasks.py --data modelnet10.h5 shapes.h5 electronics.h5 household.h5 antiquity.h5

Each map file is a labelled set. Make them with ``spectral-ssl prep`` (Zernike degree 20); see
``benchmarks/package_sets.py`` for sets of Debian packages. The tasks are distributed evenly over the
sets and drawn with a fixed seed: 3 to 10 classes of a set, and 3 to 10 labelled objects of each
class. All other objects of these classes are scored. Of a set with a test split only this split is
used. ``--held-out`` uses only the training split, for choices of settings; there it draws as many
objects of a class as the test split holds.

The classifier is that of ``downstream.probes.few_shot`` for all features: standardised, scaled to
unit length, logistic regression with C = 1. Standardisation needs no labels, so it uses all objects of
the task. Labels are drawn ten times as in that protocol; a task has the mean over the draws.

The baselines are those of the probe table: raw coefficients, PCA (fitted on all objects of the task,
the number of components chosen by cross-validation of the labelled ones), rotation invariants, ring
norms and the untrained network of the encoder. The best baseline of a task is the one with the
highest score of its scored objects. This choice with hindsight favours the baselines.

The results go to benchmarks/results/small-tasks-ENCODER.json. ``--table FILE`` prints a result.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile, open_maps
from downstream.features.standardise import fit_scaler, scale_to_unit_length
from downstream.probes.compared_features import TRAINED, FeatureRow, is_training_free, list_feature_rows
from downstream.probes.few_shot import DRAWS, draw_labels, predict_from_labels
from downstream.probes.intervals import compute_accuracy_interval
from downstream.probes.protocol.verdict import compare_with_baselines, read_outcomes, write_outcomes
from downstream.probes.rotated_maps import POSES, rotate_maps
from pretext.pretrained import load_encoder
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_json
from spectral_ssl.ground.progress import progress
from spectral_ssl.ground.provenance import environment

RESULTS = Path(__file__).parent / "results"
CLASSES = (3, 10)  # fewest and most of a task
LABELS = (3, 10)  # fewest and most of a class
FEWEST_SCORED = 3  # objects of a class without a label


@dataclass(frozen=True, eq=False)
class Task:
    """A small labelled task.

    Attributes
    ----------
    target : str
        Name of the labelled set.
    classes : tuple of str
        Names of the classes.
    count : int
        Number of labelled objects of each class.
    rows : ndarray, shape (N,), int64
        Rows of the set that belong to these classes, labelled and scored ones.
    labels : ndarray, shape (N,), int64
        Their labels.
    """

    target: str
    classes: tuple[str, ...]
    count: int
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, metavar="FILE", help="map files of labelled sets")
    parser.add_argument("--encoder", default="universe-upright", help="name or folder [universe-upright]")
    parser.add_argument("--run", type=Path, help="a run instead of an encoder")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0, help="seed of the tasks and of the draws of labels [0]")
    parser.add_argument("--pose", choices=POSES, default="aligned", help="rotation of all objects [aligned]")
    parser.add_argument("--held-out", action="store_true", help="use the training splits only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="[benchmarks/results/small-tasks-ENCODER.json]")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the tables of a result")
    arguments = parser.parse_args()
    if not arguments.table and not arguments.data:
        parser.error("give --data, or --table")
    return arguments


def choose_objects(maps: MapFile, generator: np.random.Generator, *, held_out: bool) -> NDArray[np.int64]:
    """Choose the labelled rows of a set from which tasks are drawn."""
    labelled = maps.labels >= 0
    test = np.flatnonzero(labelled & (maps.splits == "test"))
    train = np.flatnonzero(labelled & (maps.splits == "train"))
    if not len(test):
        if held_out:
            raise UserError("no training split of its own", str(maps.path), "leave --held-out or this file out")
        return np.flatnonzero(labelled)
    if not held_out:
        return test
    most = dict(zip(*np.unique(maps.labels[test], return_counts=True), strict=True))
    shuffled = generator.permutation(train)
    return np.sort(np.concatenate([shuffled[maps.labels[shuffled] == label][:count] for label, count in most.items()]))


def draw_task(maps: MapFile, objects: NDArray[np.int64], generator: np.random.Generator) -> Task:
    """Draw the classes and the number of labels of a task."""
    count = int(generator.integers(LABELS[0], LABELS[1] + 1))
    labels, sizes = np.unique(maps.labels[objects], return_counts=True)
    large = labels[sizes >= count + FEWEST_SCORED]
    if len(large) < CLASSES[0]:
        got = f"{len(large)} with {count + FEWEST_SCORED} objects in {maps.path}"
        raise UserError("too few classes for a task", got, f"give a set with at least {CLASSES[0]}")
    wanted = int(generator.integers(CLASSES[0], min(CLASSES[1], len(large)) + 1))
    chosen = np.sort(generator.choice(large, wanted, replace=False))
    rows = objects[np.isin(maps.labels[objects], chosen)]
    return Task(maps.source, tuple(maps.classes[label] for label in chosen), count, rows, maps.labels[rows])


def draw_tasks(files: Sequence[MapFile], count: int, seed: int, *, held_out: bool) -> list[list[Task]]:
    """Draw the tasks of each set; the tasks of a set do not depend on the other sets."""
    tasks = []
    for number, maps in enumerate(files):
        generator = np.random.default_rng([seed, crc32(maps.source.encode())])
        objects = choose_objects(maps, generator, held_out=held_out)
        share = count // len(files) + (number < count % len(files))
        tasks.append([draw_task(maps, objects, generator) for _ in range(share)])
    return tasks


def make_features(row: FeatureRow, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the features (N, D) of the objects of a task, fitted on all of them without labels."""
    return row.fit(values, np.arange(len(values))) if row.fit else values


def predict_others(
    features: NDArray[np.float32], labelled: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Predict the classes of all objects that have no label, in the order of their rows."""
    unit = scale_to_unit_length(fit_scaler(features).transform(features).astype(np.float32))
    return predict_from_labels(unit[labelled], labels, np.delete(unit, labelled, axis=0))


def score_task(task: Task, rows: Sequence[FeatureRow], values: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Score all features on a task.

    Returns
    -------
    dict
        The task, the accuracy of each kind of features with its interval, and the comparison of the
        encoder with the best baseline.
    """
    outcomes: dict[str, list[str]] = {row.name: [] for row in rows}
    for row in rows:
        features = make_features(row, values[row.name][task.rows])
        for draw in range(DRAWS):
            labelled = draw_labels(task.labels, task.count, draw)
            labels = task.labels[labelled]
            chosen = features
            if row.choose_count:
                chosen = features[:, : row.choose_count(features[labelled], labels, draw)]
            predicted = predict_others(chosen, labelled, labels)
            outcomes[row.name].append(write_outcomes(predicted == np.delete(task.labels, labelled)))
    baselines = {name: each for name, each in outcomes.items() if is_training_free(name)}
    verdict = compare_with_baselines("few-shot", outcomes[TRAINED], baselines)
    scores = {name: float(read_outcomes(each).mean()) for name, each in outcomes.items()}
    return {
        "set": task.target,
        "classes": task.classes,
        "labels": task.count,
        "objects": len(task.rows),
        "scored": verdict.samples,
        "scores": scores,
        "intervals": {name: compute_accuracy_interval(score, verdict.samples) for name, score in scores.items()},
        "best_baseline": verdict.baseline,
        "difference": verdict.difference,
        "interval": verdict.interval,
        "outcome": verdict.outcome,
    }


def score_set(
    run: TrainedRun, maps: MapFile, tasks: Sequence[Task], advance: Callable[[], None]
) -> list[dict[str, Any]]:
    """Score all tasks of a set."""
    used = np.unique(np.concatenate([task.rows for task in tasks]))
    rows = list_feature_rows(run, maps, used)
    values = {row.name: row.make(0) for row in rows}
    scored = []
    for task in tasks:
        scored.append(score_task(task, rows, values))
        advance()
    return scored


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Count the wins, and compute the median difference of the encoder to the best baseline in points."""
    differences = np.array([row["difference"] for row in rows])
    wins = int((differences > 0).sum())
    return {
        "tasks": len(rows),
        "wins": wins,
        "ties": int((differences == 0).sum()),
        "losses": int((differences < 0).sum()),
        "share_of_wins": wins / len(rows),
        "interval_of_wins": compute_accuracy_interval(wins / len(rows), len(rows)),
        "shown_better": sum(row["outcome"] == "better" for row in rows),
        "shown_worse": sum(row["outcome"] == "worse" for row in rows),
        "median_points": float(100 * np.median(differences)),
        "smallest_points": float(100 * differences.min()),
        "largest_points": float(100 * differences.max()),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score an encoder on all tasks."""
    run = load_run(arguments.run) if arguments.run else load_encoder(arguments.encoder)
    files = [open_maps(path) for path in arguments.data]
    tasks = draw_tasks(files, arguments.tasks, arguments.seed, held_out=arguments.held_out)
    rows = []
    with progress("tasks", arguments.tasks) as advance:
        for maps, of_set in zip(files, tasks, strict=True):
            rows += score_set(run, rotate_maps(maps, arguments.pose), of_set, lambda: advance(1))
    sets = {
        name: summarise([row for row in rows if row["set"] == name]) for name in dict.fromkeys(r["set"] for r in rows)
    }
    return {
        "encoder": str(arguments.run or arguments.encoder),
        "weights_digest": run.checkpoint_digest,
        "pose": arguments.pose,
        "held_out": arguments.held_out,
        "seed": arguments.seed,
        "draws": DRAWS,
        "maps": {maps.source: maps.digest for maps in files},
        "summary": summarise(rows),
        "sets": sets,
        "tasks": rows,
        "environment": environment(),
    }


def write_tables(result: dict[str, Any]) -> str:
    """Write the tables of a result in Markdown: a row for each set, and a row for each task."""
    lines = [
        "| set | tasks | wins | ties | shown better | shown worse | median | smallest | largest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in [*result["sets"].items(), ("all", result["summary"])]:
        points = [f"{each[key]:+.1f}" for key in ("median_points", "smallest_points", "largest_points")]
        counts = [str(each[key]) for key in ("tasks", "wins", "ties", "shown_better", "shown_worse")]
        lines.append(f"| {' | '.join([name, *counts, *points])} |")
    lines += [
        "",
        "| set | classes | labels | scored | encoder | best baseline | | difference, points |",
        "|---" * 8 + "|",
    ]
    for row in result["tasks"]:
        low, high = (100 * limit for limit in row["interval"])
        cells = [row["set"], len(row["classes"]), row["labels"], row["scored"], _cell(row, TRAINED)]
        cells += [_cell(row, row["best_baseline"]), row["best_baseline"]]
        lines.append(f"| {' | '.join(map(str, cells))} | {100 * row['difference']:+.1f} ({low:+.1f} to {high:+.1f}) |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], name: str) -> str:
    """Write a score with its interval."""
    low, high = row["intervals"][name]
    return f"{row['scores'][name]:.3f} ({low:.2f}–{high:.2f})"


def main() -> None:
    arguments = parse_arguments()
    if arguments.table:
        print(write_tables(json.loads(arguments.table.read_text(encoding="utf-8"))))
        return
    torch.set_num_threads(arguments.threads)
    result = measure(arguments)
    stem = f"small-tasks-{Path(result['encoder']).name}" + ("" if arguments.pose == "aligned" else f"-{arguments.pose}")
    out = arguments.out or RESULTS / f"{stem}{'-held-out' if arguments.held_out else ''}.json"
    write_json(out, result)
    print(write_tables(result))
    print(f"\n{out}")


if __name__ == "__main__":
    main()
