"""Compare sampling of a mesh with integration over it: error of the moments, time, and a linear probe of the maps.

Run ``python benchmarks/sampling.py --root ModelNet10 --out benchmarks/results/sampling.json`` with
the OFF tree of ModelNet10 or a part of it (at most 60 training and 30 test meshes of each class are
used).
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transforms import machine

from data_prep.basis import zernike_basis
from data_prep.geometry.surface_quadrature import compute_surface_quadrature
from data_prep.geometry.surface_sampling import sample_farthest_points, sample_surface
from data_prep.layout import find_orders, unfold
from data_prep.pipeline.object_to_map import make_object_generator
from data_prep.pipeline.shape_to_map import move_mesh_to_unit_ball, shape_to_map
from data_prep.source import Shape
from data_prep.sources.catalogue import open_source
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.zernike import zernike_moments
from downstream.probes.classifiers.logistic import fit_logistic

BASIS = zernike_basis(20)
MOST = {"train": 60, "test": 30}
EVERY = 9  # every ninth mesh is compared with the exact rule
WAYS = ("area", "quadrature")


def chosen(root: Path) -> list[Any]:
    """Select the first meshes of each class and split, in the order of the source."""
    counts: dict[tuple[int, str], int] = {}
    items = []
    for item in open_source("modelnet10", root).items:
        counts[item.label, item.split] = counts.get((item.label, item.split), 0) + 1
        if counts[item.label, item.split] <= MOST[item.split]:
            items.append(item)
    return items


def timed(call: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = call()
    return result, 1e3 * (time.perf_counter() - begin)


def against_exact(shape: Shape, seed: int) -> dict[str, Any]:
    """Compute the errors of the moments of one mesh in the unit ball; the reference is exact within 1e-7."""
    mesh = move_mesh_to_unit_ball(shape)
    faces = 0 if mesh.faces is None else len(mesh.faces)
    points, weights = compute_surface_quadrature(mesh, 28, tolerance=0 if faces < 4000 else 1e-9)
    reference = zernike_moments(points[None], 20, weights, dtype="float64")[0]
    row: dict[str, Any] = {"faces": faces}
    generator = np.random.default_rng(seed)

    def record(name: str, sample: Any) -> None:
        (points, weights), sampling = timed(sample)
        values, transform = timed(lambda: zernike_moments(points[None], 20, weights)[0])
        errors = np.asarray(values - reference, np.float64)
        row[name] = {
            "points": len(points),
            "milliseconds": sampling + transform,
            "rms": float(np.sqrt(np.square(errors).mean())),
            "largest": float(np.abs(errors).max()),
            "energy": np.square(errors),
        }

    record("area", lambda: (sample_surface(mesh, 2048, generator), None))
    candidates = sample_surface(mesh, 8192, generator)
    record("farthest", lambda: (sample_farthest_points(candidates, 2048, generator), None))
    for tolerance in (1e-2, 1e-3, 1e-4):
        record(f"quadrature {tolerance:g}", lambda t=tolerance: compute_surface_quadrature(mesh, 20, tolerance=t))
    row["signal"] = np.square(reference)
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in rows[0] if name not in ("faces", "signal")]
    order = unfold(find_orders(BASIS), BASIS)
    result: dict[str, Any] = {"meshes": len(rows), "faces_median": statistics.median(row["faces"] for row in rows)}
    for name in names:
        entries = [row[name] for row in rows]
        result[name] = {
            "points_median": statistics.median(entry["points"] for entry in entries),
            "milliseconds_median": statistics.median(entry["milliseconds"] for entry in entries),
            "milliseconds_mean": statistics.fmean(entry["milliseconds"] for entry in entries),
            "milliseconds_largest": max(entry["milliseconds"] for entry in entries),
            "rms_median": statistics.median(entry["rms"] for entry in entries),
            "rms_largest": max(entry["rms"] for entry in entries),
            "largest_error": max(entry["largest"] for entry in entries),
            "signal_to_error": {
                str(n): float(
                    sum(row["signal"][order == n].sum() for row in rows)
                    / sum(entry["energy"][order == n].sum() for entry in entries)
                )
                for n in (2, 5, 10, 15, 20)
            },
        }
    return result


def probes(items: list[Any], shapes: list[Shape]) -> dict[str, Any]:
    """Score a linear probe on raw maps: choose C on the training part, and score the test part once per row."""
    labels = np.array([item.label for item in items])
    train = np.array([item.split == "train" for item in items])
    maps: dict[str, dict[int, Any]] = {way: {} for way in WAYS}
    for way in WAYS:
        for seed in (0, 1, 2) if way == "area" else (0,):
            basis = replace(BASIS, sampling=way, seed=seed)
            maps[way][seed] = np.stack(
                [
                    unfold(shape_to_map(shape, basis, "+z", make_object_generator(seed, item.id))[0], basis)
                    for item, shape in zip(items, shapes, strict=True)
                ]
            )
    rows = []
    for highest_order in (10, 20):
        is_included = unfold(find_orders(BASIS), BASIS) <= highest_order
        for trained in WAYS:
            for seed, values in maps[trained].items():
                probe = fit_logistic(values[train][:, is_included], labels[train], 0)
                row: dict[str, Any] = {
                    "train": trained,
                    "highest_order": highest_order,
                    "sampling_seed": seed if trained == "area" else None,
                    "C": probe.strength,
                    "cross_validation": probe.cross_validation,
                }
                for tested in WAYS:
                    # Area samples of the test part use the seed of the training maps, or 0 for quadrature.
                    other = maps[tested][seed if tested == "area" else 0]
                    predicted = probe.predict(other[~train][:, is_included])
                    row[f"test_{tested}"] = float((predicted == labels[~train]).mean())
                rows.append(row)
                print(row, flush=True)
    return {"train": int(train.sum()), "test": int((~train).sum()), "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/sampling.json"))
    options = parser.parse_args()
    for precision in (np.float32, np.float64):
        moments.precompile(precision)
    items = chosen(options.root)
    shapes = [item.load() for item in items]
    result = {
        "machine": machine(),
        "error": summary([against_exact(shape, number) for number, shape in enumerate(shapes[::EVERY])]),
    }
    print(json.dumps(result["error"], indent=1), flush=True)
    result["probe"] = probes(items, shapes)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
