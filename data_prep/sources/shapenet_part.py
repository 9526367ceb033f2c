"""The ShapeNet part set: clouds of 16 classes, without their part labels. torch-geometric calls it ShapeNet."""

import json
import re
from functools import partial
from hashlib import sha256
from pathlib import Path

from data_prep.readers.shape import read_shape
from data_prep.source import Item, Source, Split
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import read_small_text

WHERE = (
    "accept the terms at https://shapenet.org, get shapenetcore_partanno_segmentation_benchmark_v0_normal.zip (or the "
    "one without normals), unpack it, and give --root the folder with synsetoffset2category.txt"
)
HELP = """shapenetpart: clouds of about 2000 to 3000 points in 16 classes, 16881 objects.

Where from: https://shapenet.org, after registration. Terms: non-commercial research and education only. Cite L. Yi et
al., "A Scalable Active Framework for Region Annotation in 3D Shape Collections", SIGGRAPH Asia 2016.
Layouts, in --root itself or in a folder of the archive's own name inside it:
  SYNSET/ID.txt                         lines x y z nx ny nz part (the archive with normals)
  SYNSET/points/ID.pts                  lines x y z (the archive without normals)
  train_test_split/shuffled_{train,val,test}_file_list.json    lists of shape_data/SYNSET/ID
  synsetoffset2category.txt             checked against the 16 known names
Only listed objects are used. Listed objects without a file become failures. +y is up, as in ShapeNetCore.
Normals and part labels are dropped. torch-geometric calls this set ShapeNet: pyg:PATH reads its processed files.
"""
# fmt: off
SYNSETS = {
    "02691156": "Airplane", "02773838": "Bag", "02954340": "Cap", "02958343": "Car", "03001627": "Chair",
    "03261776": "Earphone", "03467517": "Guitar", "03624134": "Knife", "03636649": "Lamp", "03642806": "Laptop",
    "03790512": "Motorbike", "03797390": "Mug", "03948459": "Pistol", "04099429": "Rocket", "04225987": "Skateboard",
    "04379243": "Table",
}
# fmt: on
OFFICIAL_COUNTS: dict[Split, int] = {"train": 12137, "val": 1870, "test": 2874}
FOLDERS = (
    "",
    "shapenetcore_partanno_segmentation_benchmark_v0_normal",
    "shapenetcore_partanno_segmentation_benchmark_v0",
)
TABLE = "synsetoffset2category.txt"
ENTRY = re.compile(r"(?:.*/)?(\d{8})/([0-9A-Za-z_-]+)")


def open_source(root: Path) -> Source:
    """List the clouds of the part set under ``root``.

    Raises
    ------
    UserError
        When the set is not there, or its lists are damaged.
    """
    folder = next((root / name for name in FOLDERS if (root / name / TABLE).is_file()), None)
    if folder is None:
        raise UserError("no shapenetpart in this folder", f"{root} has no {TABLE}", WHERE)
    _check_names(folder / TABLE)
    items: list[Item] = []
    missing: list[tuple[str, str]] = []
    digest = sha256()
    notes = []
    for split, official in OFFICIAL_COUNTS.items():
        before = len(items)
        for synset, name in _read_list(folder / "train_test_split" / f"shuffled_{split}_file_list.json"):
            identity = f"{synset}/{name}"
            candidates = (folder / synset / f"{name}.txt", folder / synset / "points" / f"{name}.pts")
            path = next((path for path in candidates if path.is_file()), None)
            if path is None:
                missing.append((identity, "listed, but without a file"))
                continue
            items.append(Item(identity, list(SYNSETS).index(synset), split, partial(read_shape, path)))
            digest.update(f"{split}/{identity} {path.stat().st_size}\n".encode())
        notes.append(f"{split} {len(items) - before} of {official}")
    if not items:
        raise UserError("none of the listed clouds has a file", str(folder), "unpack the whole archive again")
    return Source(
        name="shapenetpart",
        kind="shapes",
        classes=tuple(SYNSETS.values()),
        items=tuple(items),
        up="+y",
        digest=digest.hexdigest(),
        missing=tuple(missing),
        note=f"clouds of the part set: {', '.join(notes)}",
    )


def _check_names(table: Path) -> None:
    """Check that the table has the known names; another set of the same name would get wrong classes."""
    lines = read_small_text(table).splitlines()
    names = {words[-1]: words[0] for line in lines if (words := line.split())}
    if names != SYNSETS:
        raise UserError("not the 16 classes of the part set", f"{len(names)} names in {table}", WHERE)


def _read_list(listing: Path) -> list[tuple[str, str]]:
    """Read (synset, id) of a split list, sorted, because the official order is random."""
    if not listing.is_file():
        raise UserError("no such list", str(listing), "unpack the whole archive again")
    try:
        entries = json.loads(read_small_text(listing))
        matches = [ENTRY.fullmatch(entry) for entry in entries]
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError("unreadable list", f"{listing} ({error})", "unpack the archive again") from error
    objects = [(match[1], match[2]) for match in matches if match is not None and match[1] in SYNSETS]
    if len(objects) != len(entries):
        raise UserError("a list with entries that are not objects", str(listing), "unpack the archive again")
    return sorted(objects)
