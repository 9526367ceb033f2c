"""Mutated files for the readers: ``python fuzz_readers.py FOLDER FIRST COUNT`` tries the seeds FIRST, FIRST + 1, ...

This is a separate program, so that the test can limit its memory and detect a crash or a hang. Each seed
makes one file of one format from a valid file. The reader must read it, or refuse it by ObjectError or
UserError with a reason, within SECONDS. The last line of the output counts the files that were read and
refused. The "SEED n" lines before it name the file in progress.
"""

import gzip
import io
import json
import os
import resource
import runpy
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import laspy
import numpy as np
import trimesh

from data_prep.readers.shape import read_shape
from data_prep.source import Shape
from data_prep.sources.catalogue import open_source
from data_prep.sources.modelnet import CLASSES_10
from spectral_ssl.ground.errors import ObjectError, UserError

# The folder of this module has a folder data_prep of tests, so it must not be in the search path.
GltfWriter = runpy.run_path(str(Path(__file__).parents[2] / "gltf_files.py"))["GltfWriter"]
SECONDS = 5
BYTES = 1 << 30
# fmt: off
WORDS = (
    b"0", b"-1", b"1e999", b"nan", b"inf", b"4294967295", b"-2147483649", b"99999999999999999999", b"#", b"\n", b" ",
    b"\0", b"\xff\xff\xff\xff", b"\x80", b"OFF", b"f 1 2 99999999", b"f -1 -2 -3", b"usemtl", b"v 1 2", b"____", b",",
    b"dim 1024 1024 1024", b"(2147483647, 3)", b"<f8", b"|O", b"|V1000", b"True", b"\x7f\xff\xff\xff", b"HDF", b"TREE",
)
# fmt: on

Mutation = Callable[[np.random.Generator, bytes], bytes]


def _flip(draw: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for offset in draw.integers(0, len(data), int(draw.integers(1, 3))):
        changed[offset] ^= 1 << int(draw.integers(0, 8))
    return bytes(changed)


def _overwrite(draw: np.random.Generator, data: bytes) -> bytes:
    offset, word = int(draw.integers(0, len(data))), WORDS[int(draw.integers(0, len(WORDS)))]
    return data[:offset] + word + data[offset + len(word) :]


def _insert(draw: np.random.Generator, data: bytes) -> bytes:
    offset, word = int(draw.integers(0, len(data))), WORDS[int(draw.integers(0, len(WORDS)))]
    return data[:offset] + word * int(draw.integers(1, 4)) + data[offset:]


def _cut(draw: np.random.Generator, data: bytes) -> bytes:
    return data[: int(draw.integers(0, len(data)))]


def _remove(draw: np.random.Generator, data: bytes) -> bytes:
    first, last = sorted(int(offset) for offset in draw.integers(0, len(data), 2))
    return data[:first] + data[min(last, first + 200) :]


def _repeat(draw: np.random.Generator, data: bytes) -> bytes:
    first, last = sorted(int(offset) for offset in draw.integers(0, len(data), 2))
    return data[:last] + data[first:last] * int(draw.integers(1, 6)) + data[last:]


def _number(draw: np.random.Generator, data: bytes) -> bytes:
    """Replace a number of a text, more often in the head of the file with its counts and sizes."""
    words = data.split(b" ")
    if len(words) < 3:
        return _flip(draw, data)
    offset = min(int(draw.integers(0, len(words))), int(draw.integers(0, len(words))))
    words[offset] = WORDS[int(draw.integers(0, 10))]
    return b" ".join(words)


def _header(draw: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[int(draw.integers(0, min(len(data), 128)))] = int(draw.integers(0, 256))
    return bytes(changed)


def _digit(draw: np.random.Generator, data: bytes) -> bytes:
    """Replace some digits of a text; the file stays valid, or nearly."""
    offsets = [offset for offset in draw.integers(0, len(data), 50) if data[offset] in b"0123456789"]
    changed = bytearray(data)
    for offset in offsets[: int(draw.integers(1, 6))]:
        changed[offset] = b"0123456789"[int(draw.integers(0, 10))]
    return bytes(changed)


GENTLE: tuple[Mutation, ...] = (_flip, _header, _digit)
ROUGH: tuple[Mutation, ...] = (_overwrite, _insert, _cut, _remove, _repeat, _number)
MUTATIONS = (*GENTLE, *GENTLE, *ROUGH)


def _mutated(draw: np.random.Generator, data: bytes) -> bytes:
    for _ in range(1 + int(draw.random() < 0.3)):
        if data:
            data = MUTATIONS[int(draw.integers(0, len(MUTATIONS)))](draw, data)
    return data


def _text(exported: object) -> bytes:
    return exported.encode() if isinstance(exported, str) else exported


def _saved(save: Callable[..., None], *arrays: object, **named: object) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


def _ply(name: str, lists: list[list[int]]) -> bytes:
    """Write a big-endian .ply file of a square with lists of several lengths."""
    lines = ("ply", "format binary_big_endian 1.0", "element vertex 4", *(f"property double {axis}" for axis in "xyz"))
    lines += (f"element {name} {len(lists)}", "property list uchar short vertex_indices", "property uchar flag")
    head = "\n".join((*lines, "end_header", ""))
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f8")
    rows = (struct.pack(f">B{len(corners)}hB", len(corners), *corners, 1) for corners in lists)
    return head.encode() + points.tobytes() + b"".join(rows)


def _gltf() -> GltfWriter:
    """Write a scene of instances of a strip with sparse positions, under two nodes."""
    writer = GltfWriter()
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 1]], np.float32)
    position = writer.add_sparse(points, np.ones((5, 3), np.float32))
    places = writer.add_array([[0, 0, 0], [3, 0, 0]], "f4")
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places}}}
    indices = writer.add_array([0, 1, 2, 3, 4], "u1")
    child = writer.add_mesh({"attributes": {"POSITION": position}, "indices": indices, "mode": 5}, extensions=instances)
    root = writer.add("nodes", {"children": [child], "rotation": [0, 0, 1, 0], "scale": [1, 2, 3]})
    writer.tree["scenes"][0]["nodes"] = [root]
    return writer


def _draco(mesh: trimesh.Trimesh) -> bytes:
    """Compress a mesh by Draco."""
    import DracoPy

    packed = DracoPy.encode(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    writer = GltfWriter()
    accessors = writer.add_accessor(len(mesh.vertices), "f4", 3), writer.add_accessor(mesh.faces.size, "u2", 1)
    extension = {"bufferView": writer.add_view(packed), "attributes": {"POSITION": 0}}
    extensions = {"KHR_draco_mesh_compression": extension}
    writer.add_mesh({"attributes": {"POSITION": accessors[0]}, "indices": accessors[1], "extensions": extensions})
    return writer.glb()


def _pcd(cloud: np.ndarray, kind: bytes) -> bytes:
    head = b"VERSION 0.7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH %d\nHEIGHT 1\nDATA %s\n"
    body = "\n".join(" ".join(map(str, row)) for row in cloud).encode() if kind == b"ascii" else cloud.tobytes()
    return head % (len(cloud), kind) + body


def _las(cloud: np.ndarray) -> bytes:
    model = laspy.LasData(laspy.LasHeader(point_format=3, version="1.2"))
    model.x, model.y, model.z = cloud.T
    stream = io.BytesIO()
    model.write(stream)
    return stream.getvalue()


def sound_files() -> dict[str, bytes]:
    """Make one valid file of each format."""
    box = trimesh.creation.icosphere(subdivisions=1)
    cloud = np.random.default_rng(0).normal(size=(40, 3))
    grid = np.random.default_rng(0).random((6, 6, 6)) < 0.5
    off = _text(box.export(file_type="off"))
    quads = b"COFF\n# a comment\n4 2 0\n0 0 0 255 0 0\n1 0 0 1 1 1\n1 1 0 0 0 0\n0 1 0 9 9 9\n4 0 1 2 3 7\n3 0 1 2\n"
    files = {
        "plain.off": off,
        "fused.off": off.replace(b"OFF\n", b"OFF", 1),
        "quads.off": quads,
        "a.obj": _text(box.export(file_type="obj")),
        "b.obj": b"o x\nvt 0 0\nvn 0 0 1\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nusemtl m\n"
        b"f 1/1/1 2/1/1 3/1/1 4/1/1\nf -1 -2 -3\n",
        "a.ply": _text(box.export(file_type="ply")),
        "b.ply": _text(box.export(file_type="ply", encoding="ascii")),
        "mixed.ply": _ply("face", [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2]]),
        "strips.ply": _ply("tristrips", [[0, 1, 2, 3, -1, 2, 3], [2, 3, 0, 1]]),
        "a.stl": _text(box.export(file_type="stl")),
        "a.glb": _text(box.export(file_type="glb")),
        "sparse.glb": _gltf().glb(),
        "embedded.gltf": _gltf().gltf(),
        **({"draco.glb": _draco(box)} if find_spec("DracoPy") else {}),  # An optional decoder
        "a.xyz": "\n".join(" ".join(map(str, row)) for row in cloud).encode(),
        "b.xyz": b"40\nX;Y;Z\n" + "\n".join(";".join(map(str, row)) for row in cloud).replace(".", ",").encode(),
        "c.xyz": b"40\n\n" + "\n".join("C " + " ".join(map(str, row)) for row in cloud).encode(),
        "a.pcd": _pcd(cloud, b"ascii"),
        "b.pcd": _pcd(cloud, b"binary"),
        "a.las": _las(cloud),
        "a.npy": _saved(np.save, cloud),
        "b.npy": _saved(np.save, np.rec.fromarrays(cloud.T, names="z,y,x")),
        "a.npz": _saved(np.savez, points=cloud),
        "b.npz": _saved(np.savez_compressed, voxels=grid),
        "c.npz": _saved(np.savez, v=box.vertices, f=box.faces),
        "a.binvox": b"#binvox 1\ndim 6 6 6\ntranslate 0 0 0\nscale 1\ndata\n"
        + b"".join(bytes([int(value), 1]) for value in grid.ravel()),
    }
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    files["train-images-idx3-ubyte"] = np.array([2051, 4, 28, 28], ">u4").tobytes() + images.tobytes()
    files["train-labels-idx1-ubyte"] = np.array([2049, 4], ">u4").tobytes() + bytes([0, 1, 2, 3])
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        files[f"{name}.gz"] = gzip.compress(files[name], mtime=0)
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        clouds = np.random.default_rng(0).normal(size=(10, 16, 3)).astype(np.float32)
        file.create_dataset("data", data=clouds, compression="gzip")
        file.create_dataset("label", data=np.arange(10, dtype=np.uint8)[:, None], compression="gzip")
    files["ply_data_train0.h5"] = stream.getvalue()
    return files


def _place(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Write the valid files that a source needs with the mutated file."""
    if name.endswith(".h5"):
        (folder / "train_files.txt").write_text("ply_data_train0.h5\n")
        (folder / "test_files.txt").write_text("ply_data_test0.h5\n")
        (folder / "ply_data_test0.h5").write_bytes(files["ply_data_train0.h5"])
        (folder / "shape_names.txt").write_text("\n".join(CLASSES_10))
        (folder / "ply_data_test_0_id2file.json").write_text(json.dumps([f"x/{row}" for row in range(10)]))
    else:
        ending = ".gz" if name.endswith(".gz") else ""
        for other in ("images-idx3", "labels-idx1"):
            for split in ("train", "t10k"):
                (folder / f"{split}-{other}-ubyte{ending}").write_bytes(files[f"train-{other}-ubyte{ending}"])


def read(folder: Path, name: str, data: bytes, files: dict[str, bytes]) -> str:
    """Return "read" or "refused"; pass on all other errors."""
    # The readers cache files by their paths, so each file gets a separate folder.
    folder.mkdir(parents=True)
    path = folder / name
    try:
        if path.suffix == ".h5" or "idx" in name:
            _place(folder, name, files)
            path.write_bytes(data)
            source = open_source("modelnet10" if path.suffix == ".h5" else "mnist", folder)
            loaded = [source.items[0].load(), source.items[-1].load()]
        else:
            path.write_bytes(data)
            loaded = [read_shape(path)]
    except (ObjectError, UserError) as error:
        if not str(error).strip():
            raise RuntimeError("refused without a reason") from error
        return "refused"
    for one in loaded:
        points = one.points if isinstance(one, Shape) else one
        assert len(points), "nothing was read"
    return "read"


def _measure_peak() -> int:
    """Measure the largest memory of this program in bytes.

    ``ru_maxrss`` would count the program that started this one, because Linux keeps it over exec.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def main() -> None:
    """Try the seeds of the command line."""
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    files = sound_files()
    names = list(files)
    for number, name in enumerate(names):  # The valid files come first, which loads all libraries too.
        assert read(folder / f"sound{number}", name, files[name], files) == "read", name
    # The limit is the memory in use by now, mostly libraries, plus the rest up to BYTES.
    page = resource.getpagesize()
    size, resident = (int(word) * page for word in Path("/proc/self/statm").read_text().split()[:2])
    resource.setrlimit(resource.RLIMIT_AS, (size - resident + BYTES, size - resident + BYTES))
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        draw = np.random.default_rng(seed)
        name = names[seed % len(names)]
        print("SEED", seed, name, flush=True)
        signal.alarm(SECONDS)  # The default action ends the program wherever it hangs.
        outcomes[read(folder / str(seed), name, _mutated(draw, files[name]), files)] += 1
        signal.alarm(0)
        for path in (folder / str(seed)).iterdir():
            path.unlink()
        (folder / str(seed)).rmdir()
    peak = _measure_peak()
    assert peak < BYTES, f"{peak >> 20} MiB"
    print(json.dumps({**outcomes, "peak_mib": peak >> 20}))


if __name__ == "__main__":
    main()
