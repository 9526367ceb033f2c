"""Time the command ``embed`` on files of meshes of about 10,000 faces, start of the program included.

Run ``python benchmarks/embed_speed.py --out embed-speed.json`` on a machine that
does nothing else. The files are made by formula in a temporary folder: deformed tori as .off, binary
.stl and .obj in turn. Each command is a process of its own. "again" is the same command a second
time, when the maps are in the cache of the workspace.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from transforms import machine, wait_until_quiet

FILES, REPEATS = 1000, 3
AROUND, ACROSS = 100, 50  # 5000 vertices and 10,000 faces
STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def make_faces() -> NDArray[np.int64]:
    """List the triangles (F, 3) of a torus of ``AROUND`` times ``ACROSS`` vertices."""
    first, second = np.meshgrid(np.arange(AROUND), np.arange(ACROSS), indexing="ij")
    corners = [((first + i) % AROUND) * ACROSS + (second + j) % ACROSS for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    a, b, c, d = (corner.ravel() for corner in corners)
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def make_vertices(number: int) -> NDArray[np.float64]:
    """Compute the vertices (V, 3) of one torus, whose waves and radii follow from its number."""
    generator = np.random.default_rng(number)
    waves, depth, thickness, height = generator.integers(1, 9), generator.random() / 3, *generator.uniform(0.1, 0.7, 2)
    along = np.repeat(2 * np.pi * np.arange(AROUND) / AROUND, ACROSS)
    across = np.tile(2 * np.pi * np.arange(ACROSS) / ACROSS, AROUND)
    radius = 1 + depth * np.cos(waves * along) + thickness * np.cos(across)
    return 50 * np.stack([radius * np.cos(along), radius * np.sin(along), height * np.sin(across)], axis=1)


def write_files(folder: Path, count: int) -> None:
    """Write the files: .off, binary .stl and .obj in turn."""
    faces = make_faces()
    off_faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in faces.tolist())
    obj_faces = "".join(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())
    for number in range(count):
        vertices = make_vertices(number)
        path = folder / f"torus-{number:04d}"
        if number % 3 == 1:
            records = np.zeros(len(faces), STL_RECORD)
            records["corners"] = vertices[faces]
            path.with_suffix(".stl").write_bytes(b" " * 80 + np.uint32(len(faces)).tobytes() + records.tobytes())
        elif number % 3 == 0:
            text = "%.6f %.6f %.6f\n" * len(vertices) % tuple(vertices.ravel().tolist())
            path.with_suffix(".off").write_text(f"OFF\n{len(vertices)} {len(faces)} 0\n{text}{off_faces}")
        else:
            text = "v %.6f %.6f %.6f\n" * len(vertices) % tuple(vertices.ravel().tolist())
            path.with_suffix(".obj").write_text(text + obj_faces)


def run_command(folder: Path, workspace: Path, options: list[str]) -> dict[str, Any]:
    """Run ``embed`` once, and return its wall time and processor time."""
    program = [sys.executable, "-m", "spectral_ssl", "embed", str(folder), "--overwrite", "--quiet", *options]
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run([*program, "--workspace", str(workspace)], capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - begin, os.times()
    path = Path(done.stdout.partition(".h5")[0] + ".h5")
    with h5py.File(path) as file:
        rows, dimensions = file["features"].shape
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return {"seconds": wall, "processor_seconds": processor, "objects": rows, "dimensions": dimensions}


def measure(count: int, repeats: int, options: list[str]) -> dict[str, Any]:
    """Time the command on new files and a second time, each several times; report medians."""
    runs: dict[str, list[dict[str, Any]]] = {"first": [], "again": []}
    with tempfile.TemporaryDirectory() as home:
        files = Path(home) / "files"
        files.mkdir()
        write_files(files, count)
        size = sum(path.stat().st_size for path in files.iterdir())
        run_command(files, Path(home) / "warm", options)  # compiled kernels and the files are in memory afterwards
        for number in range(repeats):
            others = wait_until_quiet()
            workspace = Path(home) / f"ws-{number}"
            for name, results in runs.items():
                results.append({**run_command(files, workspace, options), "cores_others_used_before": others})
                assert results[-1]["objects"] == count, name
    medians = {
        name: {key: statistics.median(run[key] for run in results) for key in results[0]}
        for name, results in runs.items()
    }
    return {"files": count, "faces": len(make_faces()), "megabytes": size / 2**20, "repeats": repeats, **medians}


def main() -> None:
    """Measure, and write the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--encoder", help="the default encoder of embed by default")
    parser.add_argument("--make", type=Path, help="only make the files in this folder")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.make:
        arguments.make.mkdir(parents=True)
        write_files(arguments.make, arguments.files)
        return
    about = machine()
    about["versions"] |= {name: version(name) for name in ("torch", "h5py", "joblib")}
    options = ["--encoder", arguments.encoder] if arguments.encoder else []
    result = {"machine": about, "embed": measure(arguments.files, arguments.repeats, options)}
    text = json.dumps(result, indent=2) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
