"""ModelNet10 and ModelNet40: the original OFF meshes, or clouds made from them.

The two layouts of clouds are those of ``modelnet40_ply_hdf5_2048`` and of
``modelnet40_normal_resampled``.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import check_chunks
from data_prep.readers.shape import read_shape
from data_prep.source import Item, Shape, Source, Split, Up
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import read_small_text
from spectral_ssl.ground.hdf5 import explain_open_error, has_link

if TYPE_CHECKING:
    import h5py

CLASSES_10 = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
# fmt: off
CLASSES_40 = (
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain",
    "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel", "monitor",
    "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table",
    "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
)
# fmt: on
OFFICIAL_COUNTS: dict[str, dict[Split, int]] = {
    "modelnet10": {"train": 3991, "test": 908},
    "modelnet40": {"train": 9843, "test": 2468},
}
TERMS = "for academic research only"
WHERE = (
    "get ModelNet10.zip or ModelNet40.zip from https://modelnet.cs.princeton.edu, or modelnet40_ply_hdf5_2048.zip or "
    f"modelnet40_normal_resampled.zip ({TERMS}), unpack it, and give --root the folder with the class folders, or the "
    "one with train_files.txt"
)
HELP = """modelnet10, modelnet40: CAD models of furniture and other objects.

Where from: https://modelnet.cs.princeton.edu (ModelNet10.zip, ModelNet40.zip), or the clouds made from it known as
modelnet40_ply_hdf5_2048.zip and modelnet40_normal_resampled.zip. Terms: for academic research only, the copyright is
the models' authors'. Cite Z. Wu et al., "3D ShapeNets: A Deep Representation for Volumetric Shapes", CVPR 2015.

Layouts, found in --root itself or in a folder of the archive's own name inside it:
  CLASS/{train,test}/NAME.off           meshes; +z is up
  train_files.txt, test_files.txt       clouds; each line names an HDF5 file (its base name counts) with
                                        data (N, P, 3) and label (N, 1); the names of the objects come from
                                        ply_data_SPLIT_K_id2file.json and the label order from
                                        shape_names.txt, if these files exist
  modelnet40_train.txt, modelnet40_test.txt (or modelnet10_*.txt), CLASS/NAME.txt
                                        clouds; lists of names such as chair_0001, and for each name a text
                                        file of 10000 lines x,y,z,nx,ny,nz (the normals are dropped)
Up axis of HDF5 clouds: +y for modelnet40 (as in the official files), +z for modelnet10 (there are no official files,
and copies are made from the OFF meshes). Up axis of text clouds: +y for both, as in the programs published with them.
If your files differ, give --up. `spectral-ssl verify` warns of tables that are not upright.
The official numbers are 3991 + 908 and 9843 + 2468; prep prints them with the numbers of objects in your files.
"""
NAMES_OF_ARCHIVES = {
    # One archive holds the text clouds of both data sets.
    "modelnet10": ("ModelNet10", "modelnet10_ply_hdf5_2048", "modelnet40_normal_resampled"),
    "modelnet40": ("ModelNet40", "modelnet40_ply_hdf5_2048", "modelnet40_normal_resampled"),
}
OBJECT_NAME = re.compile(r"[a-z_]+_\d+")
MOST_POINTS = 100_000  # Limit of points per object of an HDF5 file.
MOST_ROWS = 100_000
# Limit of bytes of a decompressed file; the official files have 50 million.
MOST_BYTES = 1 << 31


def open_modelnet10(root: Path) -> Source:
    """List the objects of ModelNet10 under ``root``; raise a UserError if it is not there or incomplete."""
    return _open("modelnet10", CLASSES_10, root)


def open_modelnet40(root: Path) -> Source:
    """List the objects of ModelNet40 under ``root``; raise a UserError if it is not there or incomplete."""
    return _open("modelnet40", CLASSES_40, root)


def _open(name: str, classes: tuple[str, ...], root: Path) -> Source:
    folders = (root, *(root / archive for archive in NAMES_OF_ARCHIVES[name]))
    for folder in folders:
        if (folder / "train_files.txt").is_file() or (folder / "test_files.txt").is_file():
            return _open_clouds(name, classes, folder)
        if (folder / f"{name}_train.txt").is_file() or (folder / f"{name}_test.txt").is_file():
            return _open_texts(name, classes, folder)
        if any((folder / class_name).is_dir() for class_name in classes):
            return _open_meshes(name, classes, folder)
    raise UserError(
        f"no {name} in this folder",
        f"{root} has neither class folders such as {classes[0]}/ nor train_files.txt nor {name}_train.txt",
        WHERE,
    )


def _describe(name: str, layout: str, items: list[Item]) -> str:
    """Describe the layout and the numbers of objects against the official numbers, in one line."""
    official = OFFICIAL_COUNTS[name]
    present = Counter(item.split for item in items)
    splits = ", ".join(f"{split} {present[split]} of {count}" for split, count in official.items())
    return f"{layout}: {len(items)} of {sum(official.values())} objects ({splits})"


def _open_meshes(name: str, classes: tuple[str, ...], folder: Path) -> Source:
    """List the objects of the layout CLASS/{train,test}/NAME.off."""
    absent = [class_name for class_name in classes if not (folder / class_name).is_dir()]
    if absent:
        raise UserError(
            f"{name} without the class folders {', '.join(absent)}",
            str(folder),
            f"unpack the whole archive; for a subset of the classes use --dataset folder:{folder}",
        )
    items: list[Item] = []
    digest = sha256()
    for label, class_name in enumerate(classes):
        before = len(items)
        for split in ("train", "test"):
            # Archives made on a Mac contain names such as ._chair_0001.off.
            paths = sorted(
                path
                for path in (folder / class_name / split).glob("*")
                if path.suffix.lower() == ".off" and not path.name.startswith(".")
            )
            for path in paths:
                items.append(Item(f"{class_name}/{path.stem}", label, split, partial(read_shape, path)))
                digest.update(f"{class_name}/{split}/{path.name} {path.stat().st_size}\n".encode(errors="replace"))
        if len(items) == before:
            raise UserError(
                f"no .off file of class {class_name!r}",
                str(folder / class_name),
                "it should hold train/ and test/ with .off files: unpack the archive again",
            )
    return Source(
        name=name,
        kind="shapes",
        classes=classes,
        items=tuple(items),
        up="+z",
        digest=digest.hexdigest(),
        note=_describe(name, "OFF meshes", items),
    )


def _open_texts(name: str, classes: tuple[str, ...], folder: Path) -> Source:
    """List the objects of the layout of modelnet40_normal_resampled, where only the lists give the splits."""
    names = folder / f"{name}_shape_names.txt"
    if names.is_file():
        _check_classes(name, classes, names)
    items: list[Item] = []
    missing: list[tuple[str, str]] = []
    digest = sha256()
    for split in ("train", "test"):
        listing = folder / f"{name}_{split}.txt"
        if not listing.is_file():
            raise UserError("no such list", str(listing), "unpack the whole archive again")
        for entry in read_small_text(listing).split():
            class_name = entry.rpartition("_")[0]  # night_stand_0001
            if class_name not in classes or not OBJECT_NAME.fullmatch(entry):
                raise UserError(f"not an object of {name}", f"{entry[:60]!r} in {listing}", "unpack the archive again")
            identity, path = f"{class_name}/{entry}", folder / class_name / f"{entry}.txt"
            if not path.is_file():
                missing.append((identity, "listed, but without a file"))
                continue
            items.append(Item(identity, classes.index(class_name), split, partial(read_shape, path)))
            digest.update(f"{split}/{entry} {path.stat().st_size}\n".encode(errors="replace"))
    if not items:
        raise UserError(f"none of the listed {name} clouds has a file", str(folder), "unpack the whole archive again")
    return Source(
        name=name,
        kind="shapes",
        classes=classes,
        items=tuple(items),
        up="+y",
        digest=digest.hexdigest(),
        missing=tuple(missing),
        note=_describe(name, "text clouds, +y taken as up", items),
    )


def _open_clouds(name: str, classes: tuple[str, ...], folder: Path) -> Source:
    """List the objects of the layout of modelnet40_ply_hdf5_2048."""
    order = _read_label_order(name, classes, folder)
    items: list[Item] = []
    digest = sha256()
    for split in ("train", "test"):
        for path in _list_files(folder, split):
            labels = _read_labels(path, order)
            digest.update(f"{split}/{path.name} {path.stat().st_size}\n".encode(errors="replace"))
            ids = _read_names(path, split, len(labels))
            items.extend(
                Item(ids[row], int(label), split, partial(_read_cloud, path, row)) for row, label in enumerate(labels)
            )
    if len({item.id for item in items}) != len(items):
        # Two files contain the same name, so the row number becomes the id.
        items = [Item(f"{item.split}/{row:05d}", item.label, item.split, item.load) for row, item in enumerate(items)]
    counts = np.bincount([item.label for item in items], minlength=len(classes))
    if not counts.all():
        empty = ", ".join(classes[label] for label in np.flatnonzero(counts == 0))
        raise UserError(f"no {name} object of class {empty}", str(folder), "unpack the whole archive again")
    up: Up = "+y" if name == "modelnet40" else "+z"
    return Source(
        name=name,
        kind="shapes",
        classes=classes,
        items=tuple(items),
        up=up,
        digest=digest.hexdigest(),
        note=_describe(name, f"HDF5 clouds, {up} taken as up", items),
    )


def _read_label_order(name: str, classes: tuple[str, ...], folder: Path) -> NDArray[np.int64]:
    """Return our label for each label of the files."""
    names = folder / "shape_names.txt"
    if not names.is_file():
        return np.arange(len(classes))
    return np.array([classes.index(class_name) for class_name in _check_classes(name, classes, names)])


def _check_classes(name: str, classes: tuple[str, ...], names: Path) -> list[str]:
    """Read the class names of a list; raise a UserError unless they are those of the data set, in any order."""
    listed = read_small_text(names).split()
    if sorted(listed) != sorted(classes):
        raise UserError(
            f"not the classes of {name}",
            f"{len(listed)} names in {names}",
            "use the matching data set, modelnet10 or modelnet40, or another --root",
        )
    return listed


def _list_files(folder: Path, split: Split) -> list[Path]:
    """Read the HDF5 files that a list names, in its order.

    Only base names count, so that no list can lead out of the folder.
    """
    listing = folder / f"{split}_files.txt"
    if not listing.is_file():
        raise UserError("no such list", str(listing), "unpack the whole archive again")
    lines = read_small_text(listing).splitlines()
    paths = [folder / Path(line.strip()).name for line in lines if line.strip()]
    if len(set(paths)) != len(paths):  # A repeated file would give all its objects twice.
        raise UserError(f"{listing.name} names a file twice", str(listing), "unpack the whole archive again")
    absent = [path.name for path in paths if not path.is_file()]
    if absent or not paths:
        raise UserError(
            f"{listing.name} names files that do not exist",
            ", ".join(absent) or "an empty list",
            f"unpack the whole archive in {folder}",
        )
    return paths


def _read_names(path: Path, split: Split, count: int) -> list[str]:
    """Return the ids of the rows of ``ply_data_trainK.h5``: from its id2file list, or else from the row numbers."""
    number = path.stem.removeprefix(f"ply_data_{split}")
    listing = path.with_name(f"ply_data_{split}_{number}_id2file.json")
    if not listing.is_file():
        return [f"{path.stem}/{row:05d}" for row in range(count)]
    try:
        names = json.loads(read_small_text(listing))
    except (ValueError, RecursionError) as error:
        raise UserError("unreadable list of names", f"{listing} ({error})", "unpack it again or delete it") from error
    if not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise UserError(
            "a list of names that does not fit its HDF5 file",
            str(listing),
            f"it should hold {count} names: unpack it again",
        )
    # The official lists have "chair/chair_0001.ply". Without the suffix an object has the same id
    # as its mesh.
    return [name.removesuffix(".ply").removesuffix(".off") for name in names]


@contextmanager
def _open_file(path: Path) -> "Iterator[h5py.File]":
    import h5py  # The import takes 0.2 s.

    try:
        with h5py.File(path, "r") as file:
            yield file
    except UserError:
        raise
    except OSError as error:
        raise explain_open_error(path, error, "unpack the archive again") from error
    except Exception as error:  # Any access to a damaged file can raise many types, from KeyError to RuntimeError.
        raise UserError("damaged HDF5 file", f"{path} ({error})", "unpack the archive again") from error


def _get_dataset(file: "h5py.File", name: str) -> "h5py.Dataset":
    """Return a dataset whose values are in this file; a link could read any other file of the user."""
    import h5py

    hard = has_link(file, name) and file.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD
    column = file[name] if hard else None
    if not isinstance(column, h5py.Dataset) or column.is_virtual or column.external:
        raise UserError(f"no plain dataset {name!r}", file.filename, "unpack the archive again")
    return column


def _read_labels(path: Path, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Check the shapes of a file's datasets; return its labels (N,) in our order."""
    with _open_file(path) as file:
        data, label = _get_dataset(file, "data"), _get_dataset(file, "label")
        sound = (
            data.ndim == 3
            and data.shape[2] == 3
            and 0 < data.shape[0] <= MOST_ROWS
            and 0 < data.shape[1] <= MOST_POINTS
            and data.dtype.kind == "f"
            and data.size * data.dtype.itemsize <= MOST_BYTES
            and label.dtype.kind in "iu"
            and label.shape in ((len(data),), (len(data), 1))
        )
        if not sound:
            raise UserError(
                "not clouds with labels",
                f"data {data.shape} {data.dtype}, label {label.shape} {label.dtype} in {path}",
                "data must be (N, P, 3) floats and label (N, 1) integers",
            )
        check_chunks(label)
        labels = np.asarray(label[:], np.int64).ravel()
    if labels.min() < 0 or labels.max() >= len(order):
        raise UserError(
            "labels out of range", f"{labels.min()} to {labels.max()} in {path}", f"{len(order)} classes are known"
        )
    return order[labels]


@lru_cache(maxsize=2)
def _read_clouds(path: Path) -> NDArray[np.float32]:
    """Read all clouds of a file, (N, P, 3). Its gzip chunks span many rows, so single rows would be slow."""
    with _open_file(path) as file:
        data = _get_dataset(file, "data")
        check_chunks(data)
        return np.asarray(data[:], np.float32)


def _read_cloud(path: Path, row: int) -> Shape:
    return Shape(_read_clouds(path)[row].astype(np.float64))
