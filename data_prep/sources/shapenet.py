"""ShapeNetCore, versions 1 and 2: one OBJ file per model, in one folder per WordNet synset."""

import csv
import io
from functools import partial
from hashlib import sha256
from pathlib import Path

from data_prep.readers.shape import read_shape
from data_prep.source import Item, Source, Split
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import read_small_text

WHERE = (
    "get ShapeNetCore.v1.zip or ShapeNetCore.v2.zip from https://shapenet.org (registration, research use only), "
    "unpack it, and give --root the folder with the synset folders (02691156/ and so on)"
)
HELP = """shapenet: ShapeNetCore, about 51000 CAD models in 55 classes (57 in version 1).

Where from: https://shapenet.org, after registration. Terms: for non-commercial research and education only. Cite A.
Chang et al., "ShapeNet: An Information-Rich 3D Model Repository", 2015.
Layouts, in --root itself or in ShapeNetCore.v1/ or ShapeNetCore.v2/ inside it:
  SYNSET/MODEL/model.obj                       version 1
  SYNSET/MODEL/models/model_normalized.obj     version 2
  all.csv                                      the official split (id,synsetId,subSynsetId,modelId,split), optional
With all.csv, models without a file and files that all.csv does not name are listed as failures. Only existing synset
folders count. Without all.csv everything is "train". +y is up. Labels are the same in both versions.
The set of 16 classes with part labels that is also called "ShapeNet" is another data set: shapenetpart.
"""
# fmt: off
SYNSETS = {
    "02691156": "airplane", "02747177": "trash bin", "02773838": "bag", "02801938": "basket", "02808440": "bathtub",
    "02818832": "bed", "02828884": "bench", "02834778": "bicycle", "02843684": "birdhouse", "02858304": "boat",
    "02871439": "bookshelf", "02876657": "bottle", "02880940": "bowl", "02924116": "bus", "02933112": "cabinet",
    "02942699": "camera", "02946921": "can", "02954340": "cap", "02958343": "car", "02992529": "cellphone",
    "03001627": "chair", "03046257": "clock", "03085013": "keyboard", "03207941": "dishwasher", "03211117": "display",
    "03261776": "earphone", "03325088": "faucet", "03337140": "file cabinet", "03467517": "guitar",
    "03513137": "helmet", "03593526": "jar", "03624134": "knife", "03636649": "lamp", "03642806": "laptop",
    "03691459": "loudspeaker", "03710193": "mailbox", "03759954": "microphone", "03761084": "microwave",
    "03790512": "motorbike", "03797390": "mug", "03928116": "piano", "03938244": "pillow", "03948459": "pistol",
    "03991062": "flowerpot", "04004475": "printer", "04074963": "remote control", "04090263": "rifle",
    "04099429": "rocket", "04225987": "skateboard", "04256520": "sofa", "04330267": "stove", "04379243": "table",
    "04401088": "telephone", "04460130": "tower", "04468005": "train", "04530566": "watercraft", "04554684": "washer",
}
# fmt: on
FILES = ("models/model_normalized.obj", "model.obj")
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test"}
COLUMNS = {"synsetId", "modelId", "split"}


def open_source(root: Path) -> Source:
    """List the models of ShapeNetCore under ``root``.

    Raises
    ------
    UserError
        When there is no synset folder, one of them is empty, or all.csv is invalid.
    """
    folder = next(
        (
            root / name
            for name in ("", "ShapeNetCore.v2", "ShapeNetCore.v1")
            if any((root / name / synset).is_dir() for synset in SYNSETS)
        ),
        None,
    )
    if folder is None:
        raise UserError("no ShapeNetCore in this folder", f"{root} has no synset folder such as 02691156/", WHERE)
    table = next((path for path in (folder / "all.csv", root / "all.csv") if path.is_file()), None)
    splits = _read_splits(table) if table is not None else None
    items: list[Item] = []
    missing: list[tuple[str, str]] = []
    digest = sha256()
    present = 0
    for label, synset in enumerate(SYNSETS):
        if not (folder / synset).is_dir():
            continue
        present += 1
        before = len(items) + len(missing)
        for model, path in _list_models(folder / synset, splits):
            identity = f"{synset}/{model}"
            if path is None:
                missing.append((identity, "no model file"))
                continue
            split = "train" if splits is None else splits.get((synset, model))
            if split is None:
                missing.append((identity, "not in all.csv"))
                continue
            items.append(Item(identity, label, split, partial(read_shape, path)))
            digest.update(f"{identity} {split} {path.stat().st_size}\n".encode(errors="replace"))
        if len(items) + len(missing) == before:
            raise UserError(
                f"an empty synset folder {synset} ({SYNSETS[synset]})", str(folder), "unpack it again or remove it"
            )
    return Source(
        name="shapenet",
        kind="shapes",
        classes=tuple(SYNSETS.values()),
        items=tuple(items),
        up="+y",
        digest=digest.hexdigest(),
        missing=tuple(missing),
        note=(
            f"{len(items)} models in {present} of {len(SYNSETS)} synsets, {len(missing)} unusable, "
            + ("split of all.csv" if splits is not None else "no all.csv: everything is train")
        ),
    )


def _list_models(synset: Path, splits: dict[tuple[str, str], Split] | None) -> list[tuple[str, Path | None]]:
    """List the models of a synset folder and of the official table, with the path of the model file if it exists."""
    models = {path.name for path in synset.iterdir() if path.is_dir() and not path.name.startswith(".")}
    listed = {model for key, model in splits if key == synset.name} if splits is not None else models
    # A name that only the table has is never used as a path, because it could lead out of the
    # folder.
    return [
        (
            model,
            next(
                (synset / model / file for file in FILES if model in models and (synset / model / file).is_file()), None
            ),
        )
        for model in sorted(models | listed)
    ]


def _read_splits(path: Path) -> dict[tuple[str, str], Split]:
    """Read the official table: (synset, model) -> split."""
    splits: dict[tuple[str, str], Split] = {}
    try:
        rows = csv.DictReader(io.StringIO(read_small_text(path), newline=""))
        if not set(rows.fieldnames or ()) >= COLUMNS:
            raise UserError(
                "not the official split table", f"columns {rows.fieldnames} in {path}", "get it again or remove it"
            )
        for row in rows:
            name = row["split"]
            if name not in SPLITS:
                raise UserError("unknown split in the table", f"{name!r} in {path}", "get it again or remove it")
            # Spreadsheet programs drop the leading zero of a synset.
            splits[(row["synsetId"] or "").zfill(8), row["modelId"] or ""] = SPLITS[name]
    except csv.Error as error:
        raise UserError("not the official split table", f"{path} ({error})", "get it again or remove it") from error
    return splits
