"""Measure whole preparations: use of both cores, time and memory over the number of objects, OFF files, images.

Run ``python benchmarks/preparation.py --root FOLDER_OF_MODELNET10 --out
benchmarks/results/preparation.json`` on a machine that does nothing else. Larger sets contain the
same objects several times under other names. Each run is a separate process. Each number is the
median of several runs.
"""

import argparse
import gzip
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

from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.readers.meshes.off import parse_off
from data_prep.readers.shape import read_shape
from data_prep.source import Item, Shape, Source
from data_prep.sources.catalogue import open_source

WORKERS = 2
REPEATS = 3
IMAGES = 70_000
ONE_BY_ONE = "images one by one"


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


def digits(folder: Path, count: int, *, one_by_one: bool) -> Source:
    """Write files in the format of MNIST, and list their images, to be loaded together or one by one."""
    generator = np.random.default_rng(0)
    for prefix, images in (("train", count - 1), ("t10k", 1)):
        for name, shape in (("images-idx3", (images, 28, 28)), ("labels-idx1", (images,))):
            head = np.array([0x800 + len(shape), *shape], ">u4").tobytes()
            content = head + generator.integers(0, 10, shape, np.uint8).tobytes()
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(content, 1))
    source = open_source("mnist", folder)
    if not one_by_one:
        return source
    # A partial function hides that the images lie in an array.
    return replace(source, items=tuple(replace(item, load=partial(item.load)) for item in source.items))


def make_source(kind: str, count: int, root: Path, folder: Path) -> tuple[Source, Basis]:
    """Create the source of one measurement, and its basis."""
    if kind.startswith("images"):
        return digits(folder, count, one_by_one=kind == ONE_BY_ONE), pixel_basis(1, 28, 28)
    return clouds(count) if kind == "clouds" else meshes(root, count), zernike_basis(20)


def one_run(kind: str, count: int, root: Path, workers: int | None) -> dict[str, Any]:
    """Run one preparation in this process, and return its wall time, processor time and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        source, basis = make_source(kind, count, root, Path(folder))
        memory_before = _peak_megabytes()
        begin, before, idle_before = time.perf_counter(), _processor_seconds(), idle_seconds()
        made = prepare_maps(source, basis, Path(folder) / "maps.h5", workers=workers)
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


def images_in_an_array() -> dict[str, Any]:
    """Compare the processor time of images that lie in one array with that of the same images one by one.

    The runs alternate. Processor time includes the workers and depends little on other programs, so
    no run waits for a quiet machine.
    """
    seconds: dict[str, list[float]] = {"images": [], ONE_BY_ONE: []}
    for _ in range(REPEATS):
        for kind, times in seconds.items():
            command = [sys.executable, __file__, "--root", ".", "--one", kind, str(IMAGES), "default"]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            times.append(json.loads(printed.splitlines()[-1])["processor_seconds"])
    array, single = (statistics.median(times) for times in seconds.values())
    return {
        "images": IMAGES,
        "processor_seconds": seconds,
        "microseconds_an_image": 1e6 * array / IMAGES,
        "ratio": single / array,
    }


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
    parser.add_argument("--root", type=Path)
    parser.add_argument("--images", action="store_true", help="only compare images in an array with single ones")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/preparation.json"))
    parser.add_argument("--one", nargs=3, metavar=("KIND", "COUNT", "WORKERS"))
    arguments = parser.parse_args()
    if arguments.one:
        kind, count, workers = arguments.one
        chosen = None if workers == "default" else int(workers)
        print(json.dumps(one_run(kind, int(count), arguments.root, chosen)))
        return
    if arguments.images:
        print(json.dumps({"machine": machine(), "images_in_an_array": images_in_an_array()}, indent=2))
        return
    result: dict[str, Any] = {"machine": machine(), "reading_off": reading_off()}
    result["images_in_an_array"] = images_in_an_array()
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
