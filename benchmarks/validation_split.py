"""Copy a map file so that a part of its training split takes the place of the test split, for choosing settings.

    python benchmarks/validation_split.py WS/maps/cifar10-pixels.h5 WS/maps/cifar10-validation.h5

A setting that was chosen by scores on test objects flatters every number measured afterwards. The
copy holds no test object at all: every tenth training object, in the order of the classes, becomes a
test object, the others stay in training, and objects of the validation and test splits of the file,
failures and notes are left out. Statistics and content digest are those of the copy. Its source is
named "SOURCE, validation", by which ``latent_space_gan.py`` recognises it.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np

from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path

SUFFIX = ", validation"
ROWS_AT_ONCE = 512
EVERY = 10


def is_validation_copy(maps: MapFile) -> bool:
    """Tell whether a map file was written by this script."""
    return maps.source.endswith(SUFFIX)


def refuse_trials_on_test(parser: argparse.ArgumentParser, data: Path, setting: str) -> None:
    """End with a message if a setting would be tried on another file than a validation copy."""
    try:
        if is_validation_copy(open_maps(data)):
            return
    except UserError as error:
        parser.error(str(error))
    parser.error(
        f"--set {setting} would be scored on test codes of {data}: try it on a copy by "
        "benchmarks/validation_split.py, or add --chosen if it was chosen there"
    )


def write_validation_copy(maps: MapFile, path: Path) -> None:
    """Write the copy of a map file.

    Raises
    ------
    UserError
        If there are too few training objects, the file is such a copy, or ``path`` exists.
    """
    rows = maps.rows("train")
    if is_validation_copy(maps):
        raise UserError("a validation copy of a validation copy", str(maps.path), "give the prepared file")
    if len(rows) < EVERY:
        raise UserError("too few training objects to hold some out", f"{len(rows)} in {maps.path}", "prepare more")
    with h5py.File(maps.path) as file:
        made = {name: file.attrs.get(name, "") for name in ("source_digest", "created_by", "source_up")}
        method, points = int(file.attrs.get("method", 1)), file["points"].shape[1] if maps.has_points else 0
    splits = np.full(len(rows), "train", dtype=object)
    by_class = np.argsort(maps.labels[rows], kind="stable")  # small classes get their share of the whole too
    splits[by_class[EVERY - 1 :: EVERY]] = "test"
    with (
        atomic_path(path, overwrite=False) as temporary,
        MapWriter(
            temporary,
            maps.basis,
            source=maps.source + SUFFIX,
            classes=maps.classes,
            count=len(rows),
            keep_points=points,
            method=method,
            **made,
        ) as writer,
    ):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            clouds = maps.read_points(part) if points else None
            ids = [maps.ids[row] for row in part]
            chosen = splits[start : start + ROWS_AT_ONCE].tolist()
            writer.append(maps.read(part), ids, maps.labels[part].tolist(), chosen, clouds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("maps", type=Path, help="map file")
    parser.add_argument("out", type=Path, help="the copy; it must not exist")
    arguments = parser.parse_args()
    try:
        write_validation_copy(open_maps(arguments.maps), arguments.out)
    except (UserError, OSError) as error:
        parser.error(str(error))
    print(arguments.out)


if __name__ == "__main__":
    main()
