"""Measure whole preparations: use of both cores, time and memory over the number of objects, reading of OFF files.

Run ``python benchmarks/preparation.py --root FOLDER_OF_MODELNET10 --out
benchmarks/results/preparation.json`` on a machine that does nothing else. Larger sets contain the
same objects several times under other names. Each run is a separate process. Each number is the
median of several runs.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transforms import idle_seconds, machine, median_seconds, wait_until_quiet

from data_prep.basis import zernike_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.readers.meshes.off import parse_off
from data_prep.readers.shape import read_shape
from data_prep.source import Item, Shape, Source
from data_prep.sources.catalogue import open_source

WORKERS = 2
REPEATS = 3


def meshes(root: Path, times: int) -> Source:
    """List the OFF files of a folder several times, under different ids."""
    source = open_source("modelnet10", root)
    items = [replace(item, id=f"{copy}/{item.id}") for copy in range(times) for item in source.items]
    return replace(source, items=tuple(items))


def made_up_cloud(seed: int) -> Shape:
    """Create a cloud of 2048 points in very little time."""
    return Shape(np.random.default_rng(seed).normal(size=(2048, 3)))


def clouds(count: int) -> Source:
    """Create a source of clouds that needs little time, so that the rest of the pipeline dominates."""
    items = tuple(Item(f"cloud-{number}", 0, "train", partial(made_up_cloud, number)) for number in range(count))
    return Source("clouds", "shapes", ("cloud",), items)


def one_run(kind: str, count: int, root: Path, workers: int) -> dict[str, Any]:
    """Run one preparation in this process, and return its wall time, processor time and peak memory."""
    source = clouds(count) if kind == "clouds" else meshes(root, count)
    memory_before = _peak_megabytes()
    with tempfile.TemporaryDirectory() as folder:
        begin, before, idle_before = time.perf_counter(), _processor_seconds(), idle_seconds()
        made = prepare_maps(source, zernike_basis(20), Path(folder) / "maps.h5", workers=workers)
        size = made.path.stat().st_size
        wall, idle = time.perf_counter() - begin, idle_seconds() - idle_before
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # The time of the workers counts only after they end.
    busy = _processor_seconds() - before
    return {
        "objects": len(source.items),
        "failures": len(made.failures),
        "seconds": wall,
        "processor_seconds": busy,
        "busy": busy / (wall * (os.cpu_count() or 1)),
        # This share excludes the time that other processes used, so it measures the pipeline alone.
        "busy_of_what_was_free": busy / (busy + idle),
        "objects_per_second": len(source.items) / wall,
        "peak_megabytes_of_the_writer": _peak_megabytes(),
        "megabytes_of_the_writer_before": memory_before,
        "peak_megabytes_of_a_worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "megabytes_of_the_file": size / 2**20,
    }


def _peak_megabytes() -> float:
    """Read the peak memory of this program; getrusage would include the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def several_runs(kind: str, count: int, root: Path, workers: int = WORKERS) -> dict[str, Any]:
    """Run a preparation in several processes, and return the median of each number."""
    command = [sys.executable, __file__, "--root", str(root), "--one", kind, str(count), str(workers)]
    runs = []
    for _ in range(REPEATS):
        others = wait_until_quiet(5.0)
        begin = time.perf_counter()
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        whole = {"seconds_with_start_of_python": time.perf_counter() - begin, "cores_others_used_before": others}
        runs.append(json.loads(printed.splitlines()[-1]) | whole)
    return {"kind": kind, "workers": workers} | {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def off_file(folder: Path) -> Path:
    """Write a mesh like a sphere with 12,168 faces, with 8 decimals."""
    side = 79
    along, around = np.meshgrid(np.linspace(0.01, 3.13, side), np.linspace(0, 6.28, side), indexing="ij")
    vertices = np.stack([np.sin(along) * np.cos(around), np.sin(along) * np.sin(around), np.cos(along)], -1)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + side], 1), np.stack([corner + 1, corner + side + 1, corner + side], 1)]
    )
    path = folder / "sphere.off"
    lines = ["OFF", f"{side * side} {len(faces)} 0"]
    lines += [" ".join(f"{value:.8f}" for value in vertex) for vertex in vertices.reshape(-1, 3)]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.write_text("\n".join(lines) + "\n")
    return path


def reading_off() -> dict[str, Any]:
    """Compare our OFF reader with that of trimesh on the same file."""
    import trimesh

    with tempfile.TemporaryDirectory() as folder:
        path = off_file(Path(folder))
        theirs = trimesh.load(path, process=False)
        vertices, faces = parse_off(path.read_bytes())
        assert np.array_equal(vertices, theirs.vertices)
        assert np.array_equal(faces, theirs.faces)
        ours_seconds = median_seconds(lambda: read_shape(path), 15)
        theirs_seconds = median_seconds(lambda: trimesh.load(path, process=False), 15)
    return {
        "faces": len(faces),
        "ours_milliseconds": 1e3 * ours_seconds,
        "trimesh_milliseconds": 1e3 * theirs_seconds,
        "ratio": theirs_seconds / ours_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/preparation.json"))
    parser.add_argument("--one", nargs=3, metavar=("KIND", "COUNT", "WORKERS"))
    arguments = parser.parse_args()
    if arguments.one:
        kind, count, workers = arguments.one
        print(json.dumps(one_run(kind, int(count), arguments.root, int(workers))))
        return
    result: dict[str, Any] = {"machine": machine(), "reading_off": reading_off()}
    result["preparation"] = [
        several_runs("meshes", 1, arguments.root),
        several_runs("meshes", 4, arguments.root),
        several_runs("meshes", 1, arguments.root, workers=0),
        several_runs("clouds", 5_000, arguments.root),
        several_runs("clouds", 20_000, arguments.root),
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
