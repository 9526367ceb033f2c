"""Processed files of torch-geometric: the ``processed/*.pt`` of any InMemoryDataset of clouds or meshes.

Such files are pickles. torch reads them with ``weights_only=True``, which builds tensors and plain
containers and runs no other code. torch-geometric's reader falls back to trusting the file, so it
is not used.
"""

from collections import Counter
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Item, Shape, Source, Split
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.tensor_files import check_tensor_file, check_tensors

WHERE = "give a processed file of torch-geometric, or the folder of them: --dataset pyg:DATASET/processed"
HELP = """pyg:PATH: files that torch-geometric has processed (ModelNet, ShapeNet and other InMemoryDatasets).

Where from: the processed folder of a data set. Terms: those of the data set.
Layouts:
  PATH/*.pt with training, train, val, test in their names   one split each (trainval counts as train)
  PATH.pt                                                    one file, all "train" unless its name has another split
The reader uses pos (points), face (triangles, if there are any) and the class: category (ShapeNet) or y (one number per
object). Such files have no class names: classes are called 0, 1, ... +z is up unless --up gives another axis (ModelNet
processed from OFF files: +z; ShapeNet: --up +y).
Files are loaded with weights_only=True: a file that holds more than tensors and containers is refused.
"""
SPLITS: dict[str, Split] = {"training": "train", "trainval": "train", "train": "train", "val": "val", "test": "test"}
SKIPPED = ("pre_transform.pt", "pre_filter.pt")
MOST_CLASSES = 10_000


def open_source(root: Path) -> Source:
    """List the objects of the processed files at ``root``, a folder or one file.

    Raises
    ------
    UserError
        When there is no such file, or a file is not of this kind.
    """
    paths = [root] if root.is_file() else sorted(path for path in root.glob("*.pt") if path.name not in SKIPPED)
    if not paths:
        raise UserError("no processed file", f"no .pt in {root}", WHERE)
    items: list[Item] = []
    digest = sha256()
    labels: list[int] = []
    for path in paths:
        split: Split = next((SPLITS[word] for word in SPLITS if word in path.stem.lower()), "train")
        if "trainval" in path.stem.lower() and len(paths) > 2:
            continue  # This file of ShapeNet is the union of two other files.
        file_labels = _read_labels(path)
        labels += file_labels
        items.extend(
            Item(f"{path.stem}/{row:05d}", label, split, partial(_read_shape, path, row))
            for row, label in enumerate(file_labels)
        )
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    counts = Counter(item.split for item in items)
    return Source(
        name=f"pyg:{root.stem}",
        kind="shapes",
        classes=tuple(str(label) for label in range(max(labels, default=-1) + 1)),
        items=tuple(items),
        digest=digest.hexdigest(),
        note=f"torch-geometric: {', '.join(f'{count} {split}' for split, count in counts.items())}, +z taken as up",
    )


# The columns of a file: each array, with the rows at which each object begins in it.
Columns = dict[str, tuple[NDArray[Any], NDArray[np.int64]]]


@lru_cache(maxsize=2)
def _read_columns(path: Path) -> Columns:
    """Read the arrays of a processed file, once per process."""
    import torch  # The import takes several seconds, and only these files need it.
    from torch_geometric.data import Data
    from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
    from torch_geometric.data.storage import GlobalStorage

    admitted = [Data, DataEdgeAttr, DataTensorAttr, GlobalStorage]
    try:
        with torch.serialization.safe_globals(admitted):
            check_tensor_file(path, {(each.__module__, each.__qualname__) for each in admitted}, old=True)
            content = torch.load(path, map_location="cpu", weights_only=True)
        data, slices = content[0], content[1]
        values = data if isinstance(data, dict) else data.to_dict()
        check_tensors([values, slices])
        columns: Columns = {}
        for name in ("pos", "face", "category", "y"):
            if name in values and name in slices:
                columns[name] = (values[name].numpy(), np.asarray(slices[name], np.int64))
        points, starts = columns["pos"]
        if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind != "f":
            raise ValueError(f"pos of shape {points.shape}")
        for name, (values_, rows) in columns.items():
            length = values_.shape[1] if name == "face" else len(values_)
            if len(rows) != len(starts) or rows[0] < 0 or rows[-1] > length or (np.diff(rows) < 0).any():
                raise ValueError(f"slices of {name} do not fit")
    except Exception as error:  # A damaged or malicious pickle can raise any type.
        reason = " ".join(str(error).split())[:160]
        raise UserError("not a processed file of torch-geometric", f"{path} ({reason})", WHERE) from error
    return columns


def _read_labels(path: Path) -> list[int]:
    """Return the label of each object; -1 if the file has no labels."""
    columns = _read_columns(path)
    count = len(columns["pos"][1]) - 1
    for name in ("category", "y"):
        if name not in columns:
            continue
        values, rows = columns[name]
        # In ShapeNet y is a part label for every point.
        if (np.diff(rows) == 1).all() and values.size == count and values.dtype.kind in "iu":
            labels = values.reshape(-1)[rows[:-1]].astype(np.int64)
            if count and (labels.min() < -1 or labels.max() >= MOST_CLASSES):
                raise UserError("labels out of range", f"{labels.min()} to {labels.max()} in {path}", WHERE)
            return [int(label) for label in labels]
    return [-1] * count


def _read_shape(path: Path, row: int) -> Shape:
    columns = _read_columns(path)
    points, starts = columns["pos"]
    cloud = points[starts[row] : starts[row + 1]].astype(np.float64)
    if len(cloud) == 0 or not np.isfinite(cloud).all():
        raise ObjectError("no points, or coordinates that are not finite")
    if "face" not in columns:
        return Shape(cloud)
    faces, first = columns["face"]
    triangles = faces[:, first[row] : first[row + 1]].T.astype(np.int64)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) == 0:
        raise ObjectError("no faces")
    if triangles.min() < 0 or triangles.max() >= len(cloud):
        raise ObjectError("a face names a vertex that does not exist")
    return Shape(cloud, triangles)
