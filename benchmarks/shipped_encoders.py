"""Score encoders that ship with the package on the clouds of ModelNet10.

    python benchmarks/shipped_encoders.py --root modelnet10_ply_hdf5_2048 --workspace WS
    python benchmarks/shipped_encoders.py --data modelnet10.h5 --workspace WS --held-out --encoder-only

The probes are those of ``spectral-ssl probe``: linear with three seeds, 10 neighbours, and a few
labels a class. Each pose of the objects has its own table: aligned, rotated about the vertical, and
any rotation. Scores have Wilson intervals. The encoder is compared with the best training-free
baseline on the same objects. With 10 labels a class the comparison is the mean over the ten draws.

Scores of baselines are stored in WS/cache until the code changes. One encoder takes about two
minutes of one core for a pose. All baselines take about five more. ``--encoder-only`` leaves them out.

``--held-out`` scores inside the training split, for choices of settings: probes are fitted on 3100 of
its objects and scored on the other 828, those of ``benchmarks/study.py``. The test split is not read
then.

Each encoder and pose adds a row to benchmarks/results/encoders-modelnet10.json, or replaces its older
one. ``--table FILE`` prints the tables of a result.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from study import inner_maps

import spectral_ssl
from data_prep.maps.reader import MapFile, open_maps
from downstream.probes.cache import BaselineCache
from downstream.probes.compared_features import TRAINED, UNTRAINED, FeatureRow, is_training_free, list_feature_rows
from downstream.probes.few_shot import predict_from_few_labels
from downstream.probes.protocol.row_scores import make_row
from downstream.probes.protocol.splits import Evaluation, plan_evaluation
from downstream.probes.protocol.verdict import Verdict, compare_with_baselines, write_outcomes
from downstream.probes.rotated_maps import POSES, Pose, rotate_maps
from downstream.probes.rows import score_row
from downstream.probes.table import probe_run
from pretext.pretrained import load_encoder
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.files import write_json
from spectral_ssl.ground.provenance import environment

RESULTS = Path(__file__).parent / "results"
ENCODERS = ("universe-upright", "universe-any-turn", "universe-any-pose")
PROBES = ("linear", "neighbours", "few-shot")
LABELS = 10  # labels a class of the third column
COLUMNS = {"linear": "linear", "neighbours": "10 neighbours", "few-shot": f"{LABELS} labels a class"}
NAMES = {"aligned": "aligned", "vertical": "rotated about the vertical", "so3": "any rotation"}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--root", type=Path, help="folder of the HDF5 clouds of ModelNet10")
    source.add_argument("--data", type=Path, help="its map file")
    source.add_argument("--table", type=Path, metavar="FILE", help="print the tables of a result")
    parser.add_argument("--workspace", type=Path, help="folder of the cache and of map files")
    parser.add_argument("--encoder", nargs="+", default=list(ENCODERS), help="names or folders [those that ship]")
    parser.add_argument("--run", nargs="+", type=Path, help="runs instead of encoders")
    parser.add_argument("--pose", nargs="+", choices=POSES, default=list(POSES))
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the linear probe [3]")
    parser.add_argument("--held-out", action="store_true", help="score inside the training split")
    parser.add_argument("--encoder-only", action="store_true", help="leave the baselines out")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="[benchmarks/results/encoders-modelnet10.json]")
    arguments = parser.parse_args()
    if not arguments.table and (not arguments.workspace or not (arguments.root or arguments.data)):
        parser.error("give --root or --data, and --workspace; or --table")
    return arguments


def open_clouds(arguments: argparse.Namespace) -> MapFile:
    """Open the map file of ModelNet10, and prepare it if a folder of clouds was named."""
    if arguments.data:
        maps = open_maps(arguments.data)
    else:
        maps = spectral_ssl.prep("modelnet10", root=arguments.root, workspace=arguments.workspace)
    return inner_maps(maps.path, arguments.workspace) if arguments.held_out else maps


def score_encoder(run: TrainedRun, maps: MapFile, pose: Pose, seeds: int) -> dict[str, Any]:
    """Score the features of an encoder alone, without baselines."""
    evaluation = plan_evaluation(maps, "own", seeds)
    rotated = rotate_maps(maps, pose)
    features = FeatureRow(name=TRAINED, make=lambda seed: run.encode_file(rotated), settings=None)
    row = make_row(TRAINED, score_row(features, evaluation, PROBES), len(evaluation.scored), cached=False)
    return {"train": evaluation.train, "test": len(evaluation.scored), "rows": [summarise_row(asdict(row))]}


def score_with_baselines(
    run: TrainedRun, maps: MapFile, pose: Pose, seeds: int, cache: BaselineCache
) -> dict[str, Any]:
    """Score an encoder and its baselines, and compare the encoder with the best baseline of each column."""
    table = probe_run(run, maps, seeds, split="own", probes=PROBES, pose=pose, cache=cache)
    rows = [summarise_row(asdict(row)) for row in table.rows]
    verdicts = {verdict.probe: verdict for verdict in table.verdicts}
    baselines = [row for row in rows if is_training_free(row["features"])]
    best = max(baselines, key=lambda row: float(row["few-shot"]["mean"]))["features"]
    verdicts["few-shot"] = compare_few_labels(run, rotate_maps(maps, pose), best)
    return {
        "train": table.train,
        "test": table.test,
        "protocol": table.as_dict()["protocol"],
        "rows": rows,
        "verdicts": {probe: asdict(verdict) for probe, verdict in verdicts.items()},
    }


def compare_few_labels(run: TrainedRun, maps: MapFile, baseline: str) -> Verdict:
    """Compare the encoder with a baseline by ``LABELS`` labels a class, on the same draws and objects."""
    evaluation = plan_evaluation(maps, "own", 1)
    rows = {row.name: row for row in list_feature_rows(run, maps, evaluation.learnt_on)}
    return compare_with_baselines(
        "few-shot",
        predict_draws(rows[TRAINED], evaluation),
        {baseline: predict_draws(rows[baseline], evaluation)},
    )


def predict_draws(row: FeatureRow, evaluation: Evaluation) -> list[str]:
    """Return the outcomes of each draw of ``LABELS`` labels a class, for one kind of features."""
    split, seed = evaluation.rounds[0][0], evaluation.seeds[0]
    features = row.make(seed)
    if row.fit:
        features = row.fit(features, split.train)
    if row.choose_count:
        features = features[:, : row.choose_count(features[split.train], split.labels, seed)]
    return [
        write_outcomes(split.sealed.mark_correct(prediction.predicted))
        for prediction in predict_from_few_labels(features[split.train], split.labels, features[split.test])
        if prediction.labels == LABELS
    ]


def summarise_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a row of the probe table by column."""
    few = next(scores for scores in row["few_shot"] if scores["labels"] == LABELS)
    linear = {key: row[key] for key in ("mean", "std", "interval", "accuracies", "strengths", "cross_validation")}
    return {
        "features": row["features"],
        "dimensions": row["dimensions"],
        "linear": linear,
        "neighbours": {"mean": row["neighbours"], "interval": row["neighbours_interval"]},
        "few-shot": few,
        "per_class": row["per_class"],
        "all_few_shot": {str(scores["labels"]): scores["mean"] for scores in row["few_shot"]},
    }


def measure(run: TrainedRun, name: str, pose: Pose, maps: MapFile, arguments: argparse.Namespace) -> dict[str, Any]:
    """Score one encoder in one pose, with the circumstances."""
    started = time.monotonic()
    if arguments.encoder_only:
        scores = score_encoder(run, maps, pose, arguments.seeds)
    else:
        cache = BaselineCache(arguments.workspace / "cache")
        scores = score_with_baselines(run, maps, pose, arguments.seeds, cache)
    return {
        "encoder": name,
        "weights_digest": run.checkpoint_digest,
        "layer": run.layer,
        "pose": pose,
        "held_out": arguments.held_out,
        "seeds": arguments.seeds,
        **scores,
        "maps_digest": maps.digest,
        "seconds": round(time.monotonic() - started, 1),
        "environment": environment(),
    }


def store(row: dict[str, Any], path: Path) -> dict[str, Any]:
    """Add a row to the results, in the position of an older row of the same encoder and pose."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    key = (row["encoder"], row["pose"])
    others = [each for each in rows if (each["encoder"], each["pose"]) != key]
    result = {"rows": [*others, row]}
    write_json(path, result)
    return result


def write_tables(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table for each pose."""
    for pose in POSES:
        rows = [row for row in result["rows"] if row["pose"] == pose]
        if not rows:
            continue
        kind = "held-out training objects" if rows[0]["held_out"] else "test objects"
        yield f"ModelNet10, {NAMES[pose]}, {rows[0]['test']} {kind}:"
        yield ""
        yield f"| features | {' | '.join(COLUMNS.values())} |"
        yield "|---" * (1 + len(COLUMNS)) + "|"
        for row in rows:
            yield from write_rows(row)
        yield ""


def write_rows(row: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of one encoder: the best baseline, the untrained network, the encoder, the difference."""
    by_name = {each["features"]: each for each in row["rows"]}
    if "verdicts" in row:
        others = [each for name, each in by_name.items() if is_training_free(name) and name != UNTRAINED]
        cells = []
        for probe in COLUMNS:
            _, name = max((each[probe]["mean"], each["features"]) for each in others)
            cells.append(f"{write_score(by_name[name], probe)}, {name}")
        yield f"| best baseline without a network | {' | '.join(cells)} |"
        yield f"| network of {row['encoder']}, untrained | {write_scores(by_name[UNTRAINED])} |"
    yield f"| **{row['encoder']}** | {write_scores(by_name[TRAINED])} |"
    if "verdicts" in row:
        cells = []
        for probe in COLUMNS:
            verdict = row["verdicts"][probe]
            low, high = (100 * limit for limit in verdict["interval"])
            cells.append(f"{100 * verdict['difference']:+.1f} ({low:+.1f} to {high:+.1f}), {verdict['baseline']}")
        yield f"| difference to the best of all baselines, points | {' | '.join(cells)} |"


def write_scores(row: dict[str, Any]) -> str:
    """Write the scores of a row of all columns."""
    return " | ".join(write_score(row, probe) for probe in COLUMNS)


def write_score(row: dict[str, Any], probe: str) -> str:
    """Write a score with its interval."""
    low, high = row[probe]["interval"]
    std = row[probe].get("std")
    spread = "" if std is None or math.isnan(std) else f" ± {std:.3f}"
    return f"{row[probe]['mean']:.3f}{spread} ({low:.3f}–{high:.3f})"


def main() -> None:
    arguments = parse_arguments()
    if arguments.table:
        print("\n".join(write_tables(json.loads(arguments.table.read_text(encoding="utf-8")))))
        return
    torch.set_num_threads(arguments.threads)
    maps = open_clouds(arguments)
    out = arguments.out or RESULTS / f"encoders-modelnet10{'-held-out' if arguments.held_out else ''}.json"
    for name in arguments.run or arguments.encoder:
        run = load_run(name) if arguments.run else load_encoder(name)
        for pose in arguments.pose:
            result = store(measure(run, Path(name).name, pose, maps, arguments), out)
            print("\n".join(write_tables(result)), flush=True)


if __name__ == "__main__":
    main()
