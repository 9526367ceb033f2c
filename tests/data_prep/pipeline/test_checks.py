"""Checks before a preparation: copies of files across splits and classes, and how an existing map file differs."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_prep.basis import zernike_basis
from data_prep.pipeline.checks.copies import EDGE, find_copies
from data_prep.pipeline.prepare import find_finished_maps, prepare_maps
from data_prep.sources.catalogue import open_source
from data_prep.sources.groups import describe_groups
from spectral_ssl.ground.errors import UserError

SMALL = zernike_basis(3, points=16)


def _write(path: Path, seed: int, count: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(size=(count, 3)))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for number, name in enumerate(("train/a/1", "train/a/2", "train/b/1", "test/a/1", "test/b/1")):
        _write(tmp_path / "raw" / f"{name}.npy", number)
    return tmp_path / "raw"


def test_different_files_of_one_size_are_no_copies(raw: Path) -> None:
    assert find_copies(open_source(str(raw))) == []


def test_copies_across_splits_are_counted(raw: Path) -> None:
    (raw / "test/a/copy.npy").write_bytes((raw / "train/a/1.npy").read_bytes())
    (raw / "test/a/link.npy").symlink_to(raw / "train/a/2.npy")
    os.link(raw / "train/b/1.npy", raw / "test/b/hard.npy")
    (raw / "train/a/again.npy").write_bytes((raw / "train/a/2.npy").read_bytes())  # within a split: harmless
    told: list[tuple[int, int]] = []
    (line,) = find_copies(open_source(str(raw)), lambda done, total: told.append((done, total)))
    assert line == (
        "the splits leak: 3 of test are also in train, such as test/a/copy.npy: scores are too good, remove them"
    )
    assert told[-1] == (9, 9)


def test_copies_in_two_classes_are_counted(raw: Path) -> None:
    (raw / "train/b/copy.npy").write_bytes((raw / "train/a/1.npy").read_bytes())
    (line,) = find_copies(open_source(str(raw)))
    assert line.startswith("contradictory labels: 1 file with copies in another class")
    assert "train/a/1.npy and train/b/copy.npy" in line


def test_examples_of_copies_are_different_ids_with_all_folders(raw: Path) -> None:
    (raw.parent / "whole" / "set").mkdir(parents=True)
    raw = raw.rename(raw.parent / "whole" / "set" / "v1")
    (raw / "test/b/0.npy").write_bytes((raw / "train/a/1.npy").read_bytes())
    (raw / "train/b/0.npy").write_bytes((raw / "train/a/1.npy").read_bytes())
    (raw / "test/a/9.npy").write_bytes((raw / "train/a/2.npy").read_bytes())
    leak, contradiction = find_copies(open_source(str(raw.parents[1])))
    assert "2 of test are also in train, such as set/v1/test/a/9.npy:" in leak
    assert "such as set/v1/test/b/0.npy and set/v1/train/a/1.npy:" in contradiction


def test_large_files_that_differ_in_the_middle_are_no_copies(tmp_path: Path) -> None:
    values = np.zeros((2 * EDGE, 3))
    for name, middle in (("train/a", 0), ("test/a", 1), ("test/b", 0)):
        values[EDGE] = middle
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"{name}.npy", values)
    (line,) = find_copies(open_source(str(tmp_path)))
    assert "1 of test are also in train, such as" in line
    assert "test/b.npy" in line


def test_an_existing_file_is_compared_in_words(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"

    def compare() -> str:
        with pytest.raises(UserError, match=r"output exists already.*--overwrite") as caught:
            prepare_maps(open_source(str(raw)), SMALL, out, workers=0)
        return str(caught.value)

    made = prepare_maps(open_source(str(raw)), SMALL, out, workers=0)
    again = find_finished_maps(open_source(str(raw)), SMALL, out)
    assert again is not None
    assert again.digest == made.digest
    with pytest.raises(UserError, match=r"degree 3 against 4"):
        find_finished_maps(open_source(str(raw)), zernike_basis(4, points=16), out)
    os.utime(raw / "test/a/1.npy", ns=(0, out.stat().st_mtime_ns + 10**9))
    assert "1 file written since (such as 1.npy)" in compare()
    os.utime(raw / "test/a/1.npy", ns=(0, 0))
    _write(raw / "train/b/9.npy", 9)
    (raw / "test/b/1.npy").unlink()
    assert "1 object added since (such as train/b/9.npy); 1 object gone since (such as test/b/1.npy)" in compare()
    prepare_maps(open_source(str(raw)), SMALL, out, workers=0, overwrite=True)
    with pytest.raises(UserError, match=r"another class or split for 5 \(such as test/a/1.npy\)"):
        prepare_maps(open_source(str(raw), split="none"), SMALL, out, workers=0)
    _write(raw / "train/b/9.npy", 9, count=41)
    assert "files of other sizes since" in compare()
    prepare_maps(open_source(str(raw)), SMALL, out, workers=0, overwrite=True)
    with h5py.File(out, "r+") as file:
        file.attrs["method"] = 1
    assert "written by spectral-ssl" in compare()
    with h5py.File(out, "r+") as file:
        del file.attrs["method"]
    assert "made other maps of the same files" in compare()


def test_groups_are_described_with_counts(tmp_path: Path) -> None:
    for name in (*(f"train/{number:02d}" for number in range(12)), "test/00", "test/11", "test/new"):
        _write(tmp_path / name / "1.npy", 0)
    assert describe_groups(open_source(str(tmp_path))) == [
        "splits: 12 train, 3 test",
        "classes: 00 2, 01 1, 02 1, 03 1, 04 1, 05 1, 06 1, 07 1, 08 1, 09 1 and 3 more",
        "classes not in train: new; not in test: 01, 02, 03, 04, 05 and 5 more",
    ]
