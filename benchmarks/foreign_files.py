"""Read a folder of foreign meshes and clouds, and compare each with other readers and with known bounds.

Run ``python benchmarks/foreign_files.py FOLDER --out foreign.json``. Each file goes through
``read_shape`` and through trimesh, each with a limit of time. A .ply file also goes through plyfile,
if that is installed. The extents, the number of triangles and the area are compared. A text
``FOLDER/expected.txt`` may state the right extents: ``NAME | read E0 E1 E2 [TOLERANCE]`` over the
largest extent, or ``NAME | refuse WORD ...``, several with ``or`` between them.

A disagreement is no fault by itself: trimesh does not read all dialects of the formats. Each one
must be explained.
"""

import argparse
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError
from spectral_ssl.ground.provenance import environment

SECONDS = 60
# Largest difference of the extents, over the largest extent, and of the area. float32 rounds by 1e-7,
# texts of six digits by 1e-6.
TOLERANCE = 1e-4
READABLE_BY_TRIMESH = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".xyz", ".step", ".stp", ".binvox")


@contextmanager
def limited_time(seconds: int) -> Iterator[None]:
    """Raise a TimeoutError in the block after some seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not finished after {seconds} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def measure(points: NDArray[np.float64], faces: NDArray[np.int64] | None) -> dict[str, Any]:
    """Measure a shape: extents, number of points and triangles, area. Points that no triangle uses do not count."""
    used = points if faces is None or not len(faces) else points[np.unique(faces)]
    result: dict[str, Any] = {
        "points": len(used),
        "extents": np.ptp(used, axis=0).tolist(),
        "triangles": 0,
        "area": 0.0,
    }
    if faces is not None and len(faces):
        corners = points[faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        result |= {"triangles": len(faces), "area": float(np.linalg.norm(normals, axis=1).sum() / 2)}
    return result


def read_ours(path: Path) -> dict[str, Any]:
    """Read a file by ``read_shape``; return its measures and notes, or the reason why it is refused."""
    begin = time.perf_counter()
    try:
        with limited_time(SECONDS):
            shape: Shape = read_shape(path)
    except ObjectError as error:
        return {"refused": str(error), "seconds": time.perf_counter() - begin}
    except Exception as error:  # Any other type is a fault of the reader, which the table shows as a crash.
        return {"crashed": f"{type(error).__name__}: {error}", "seconds": time.perf_counter() - begin}
    return {**measure(shape.points, shape.faces), "notes": shape.notes, "seconds": time.perf_counter() - begin}


def read_with_trimesh(path: Path) -> dict[str, Any] | None:
    """Read a file by trimesh, all parts of its scene; None if trimesh does not know the format."""
    import trimesh

    if path.suffix.lower() not in READABLE_BY_TRIMESH:
        return None
    try:
        with limited_time(SECONDS):
            scene: Any = trimesh.load(path, force="scene", process=False)
            points, faces, start = [], [], 0
            for node in scene.graph.nodes_geometry:
                transform, name = scene.graph[node]
                part = scene.geometry[name]
                points.append(trimesh.transform_points(np.asarray(part.vertices, np.float64), transform))
                if hasattr(part, "faces"):
                    faces.append(np.asarray(part.faces, np.int64).reshape(-1, 3) + start)
                start += len(points[-1])
            return measure(np.concatenate(points), np.concatenate(faces) if faces else None)
    except Exception as error:  # It raises many types for files that it does not read.
        return {"refused": f"{type(error).__name__}: {str(error)[:120]}"}


def read_with_plyfile(path: Path) -> dict[str, Any] | None:
    """Read the vertices and count the triangles of a .ply file by plyfile, if that is installed."""
    try:
        import plyfile  # An optional program under another licence, which is no part of the project.
    except ImportError:
        return None
    if path.suffix.lower() != ".ply":
        return None
    try:
        with limited_time(SECONDS):
            file = plyfile.PlyData.read(str(path))
            vertices = file["vertex"].data
            names = {name.lower(): name for name in vertices.dtype.names}
            points = np.stack([np.asarray(vertices[names[axis]], np.float64) for axis in "xyz"], axis=1)
            corners = file["face"].data[file["face"].data.dtype.names[0]] if "face" in file else []
    except Exception as error:  # plyfile too raises many types for damaged files.
        return {"refused": f"{type(error).__name__}: {str(error)[:120]}"}
    used = np.unique(np.concatenate([np.asarray(face, np.int64) for face in corners])) if len(corners) else None
    triangles = sum(max(len(face) - 2, 0) for face in corners)
    return {**measure(points if used is None else points[used], None), "triangles": triangles}


def compare(ours: dict[str, Any], others: dict[str, Any] | None) -> str:
    """Return in what two readers disagree, or an empty text."""
    if others is None or "refused" in others:
        return ""
    if "crashed" in ours:
        return "crashed"
    if "refused" in ours:
        return f"refused: {ours['refused']}"
    parts = []
    size = max(*others["extents"], 1e-300)
    if not np.allclose(ours["extents"], others["extents"], rtol=0, atol=TOLERANCE * size):
        parts.append(f"extents {_round(ours['extents'])}, not {_round(others['extents'])}")
    if ours["triangles"] != others["triangles"]:
        parts.append(f"{ours['triangles']} triangles, not {others['triangles']}")
    if others["area"] and not np.isclose(ours["area"], others["area"], rtol=10 * TOLERANCE):
        parts.append(f"area {ours['area']:.6g}, not {others['area']:.6g}")
    return "; ".join(parts)


def _round(values: list[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


def read_expected(folder: Path) -> dict[str, str]:
    """Read the known bounds of a folder: the text after the name of each file."""
    path = folder / "expected.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name.strip(): rule.strip() for name, _, rule in (line.partition(" | ") for line in lines) if rule}


def meets(ours: dict[str, Any], rule: str) -> bool:
    """Return whether a result meets one of the alternatives of a rule."""
    for alternative in rule.split(" or "):
        words = alternative.split()
        if words[0] == "refuse":
            reason = ours.get("refused", "").lower()
            if any(word.lower() in reason for word in re.split(r"[ /]", " ".join(words[1:])) if word) and reason:
                return True
        elif "extents" in ours:
            numbers = [float(word) for word in words[1:] if re.fullmatch(r"[\d.]+", word)]
            extents = np.array(ours["extents"]) / max(ours["extents"])
            if np.abs(extents - numbers[:3]).max() <= (numbers[3] if len(numbers) > 3 else 0.03):
                return True
    return False


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of files, with its sub-folders")
    parser.add_argument("--out", type=Path, help="JSON file of all results")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    folder = arguments.folder
    rules = read_expected(folder)
    rows = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "expected.txt"):
        if path.suffix.lower() not in SHAPE_SUFFIXES:
            continue
        name = path.relative_to(folder).as_posix()
        ours = read_ours(path)
        row: dict[str, Any] = {"file": name, "ours": ours}
        others = {"trimesh": read_with_trimesh(path), "plyfile": read_with_plyfile(path)}
        row |= {other: result for other, result in others.items() if result is not None}
        row["disagreements"] = {other: text for other, result in others.items() if (text := compare(ours, result))}
        if name in rules and not meets(ours, rules[name]):
            row["disagreements"]["expected.txt"] = f"{rules[name]}: {ours.get('refused') or _round(ours['extents'])}"
        rows.append(row)
    show(rows)
    if arguments.out is not None:
        packages = {}
        for package in ("trimesh", "plyfile", "laspy", "cascadio", "numpy"):
            with suppress(PackageNotFoundError):
                packages[package] = version(package)
        result = {
            "environment": environment(),
            "readers": packages,
            "tolerance": {"extents": TOLERANCE, "area": 10 * TOLERANCE},
            "files": rows,
        }
        arguments.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def show(rows: list[dict[str, Any]]) -> None:
    """Print the counts, the disagreements and the refusals."""
    refused = [row for row in rows if "refused" in row["ours"]]
    crashed = [row for row in rows if "crashed" in row["ours"]]
    noted = sum(bool(row["ours"].get("notes")) for row in rows)
    print(f"files: {len(rows)}, read: {len(rows) - len(refused) - len(crashed)}, with notes: {noted}")
    print(f"refused: {len(refused)}, crashed: {len(crashed)}")
    print("\n| file | compared with | disagreement |\n|---|---|---|")
    for row in rows:
        for other, text in row["disagreements"].items():
            print(f"| {row['file']} | {other} | {text} |")
    print("\n| reason of the refusal | files | for example |\n|---|---|---|")
    reasons = Counter(re.sub(r"\d+", "0", row["ours"]["refused"])[:100] for row in refused)
    examples = {re.sub(r"\d+", "0", row["ours"]["refused"])[:100]: row["file"] for row in reversed(refused)}
    for reason, count in reasons.most_common():
        print(f"| {reason} | {count} | {examples[reason]} |")


if __name__ == "__main__":
    main()
