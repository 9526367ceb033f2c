from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import forget_checksums

from data_prep.basis import Basis, harmonics_basis, zernike_basis
from data_prep.maps.reader import MapFile, compute_content_digest
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.verify import verify_maps
from data_prep.source import Item, Shape, Source
from data_prep.sources.catalogue import open_source

BASIS = zernike_basis(8, 3, points=256)


def _source(seed: int = 0, **more: Any) -> Source:
    generator = np.random.default_rng(seed)
    items = tuple(
        Item(
            f"object-{number}",
            number % 2,
            "test" if number > 15 else "train",
            partial(Shape, generator.normal(size=(300, 3)) * generator.uniform(0.3, 1, 3)),
        )
        for number in range(20)
    )
    return Source(**{"name": "few", "kind": "shapes", "classes": ("a", "b"), "items": items, "digest": "d", **more})


def _made(path: Path, basis: Basis = BASIS, **more: Any) -> Path:
    return prepare_maps(_source(), basis, path, workers=0, **more).path


def _change(path: Path, change: Any, *, forge: bool) -> None:
    """Change a file; forging also changes its digest, so that the other checks must detect the change."""
    with h5py.File(path, "r+") as file:
        change(file)
        if forge:
            forget_checksums(file)
            file.attrs["content_digest"] = compute_content_digest(file)


@pytest.mark.parametrize("keep_points", [False, True])
@pytest.mark.parametrize("basis", [BASIS, zernike_basis(20, points=256), harmonics_basis(10, 4, points=256)])
def test_valid_files(tmp_path: Path, basis: Basis, keep_points: bool) -> None:
    path = _made(tmp_path / "a.h5", basis, keep_points=keep_points)
    assert verify_maps(path) == []
    assert verify_maps(path, _source(), count=100) == []


def test_valid_file_with_another_up_axis_and_images(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.h5", up="-x")
    assert verify_maps(path, _source()) == []
    digits = open_source("digits")
    from data_prep.pipeline.image_survey import find_image_basis

    made = prepare_maps(digits, find_image_basis(digits), tmp_path / "digits.h5", workers=0)
    assert verify_maps(made.path, digits) == []


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda file: file["maps"].__setitem__((5, 1, 2, 2), 9), "digest"),
        (lambda file: file["labels"].__setitem__(3, 0), "digest"),
    ],
)
def test_the_digest_detects_changes(tmp_path: Path, change: Any, finding: str) -> None:
    path = _made(tmp_path / "a.h5")
    _change(path, change, forge=False)
    assert any(line.startswith(finding) for line in verify_maps(path))


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda file: file["maps"].__setitem__((5, 1, 2, 2), np.nan), "maps: 1 of 20 hold values"),
        (lambda file: file["maps"].__setitem__((5, 1, 2, 2), 9), "mean and std: wrong for 1 coeff"),
        (lambda file: file["mean"].__setitem__((1, 2, 2), 9), "mean and std: wrong for 1 coeff"),
        (lambda file: file["std"].__setitem__((1, 2, 2), 9), "mean and std: wrong for 1 coeff"),
        (
            lambda file: file["std"].__setitem__((1, 2, 2), 0),
            "map file that contradicts itself: got statistics that are not finite",
        ),
        (
            lambda file: file["std"].__setitem__((1, 2, 2), np.inf),
            "map file that contradicts itself: got statistics that are not finite",
        ),
        (
            lambda file: file["labels"].__setitem__(3, 2),
            "map file that contradicts itself: got labels 0 to 2 for 2 classes",
        ),
        (lambda file: file["labels"].__setitem__(3, -2), "map file that contradicts itself: got labels -2 to 1 for 2"),
        (lambda file: file["ids"].__setitem__(3, "object-4"), "ids: 1 of 20 occur more than once"),
        (lambda file: file["split"].__setitem__(17, "exam"), "map file that contradicts itself: got splits ['exam'"),
        (lambda file: file.attrs.__setitem__("schema_version", "?"), "not a file of schema"),
    ],
)
def test_the_other_checks_detect_forged_files(tmp_path: Path, change: Any, finding: str) -> None:
    path = _made(tmp_path / "a.h5")
    _change(path, change, forge=True)
    findings = verify_maps(path)
    assert len(findings) == 1
    assert findings[0].startswith(finding)


def test_maps_that_do_not_match_their_clouds(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.h5", keep_points=True)

    def swap(file: h5py.File) -> None:
        file["points"][7] = file["points"][8]

    _change(path, swap, forge=True)
    (finding,) = verify_maps(path, count=20)
    assert finding.startswith("points: the map of object-7 is not that of its cloud")
    assert verify_maps(path, count=0) == []
    _change(path, lambda file: file["points"].__setitem__((7, 0, 0), 1.5), forge=True)
    (finding,) = verify_maps(path, count=20)
    assert "outside the unit ball" in finding


def test_against_another_source(tmp_path: Path) -> None:
    path = _made(tmp_path / "a.h5")
    assert "names or sizes differ" in verify_maps(path, _source(digest="e"))[0]
    assert "other classes" in verify_maps(path, _source(classes=("b", "a")))[0]
    other = verify_maps(path, _source(seed=1), count=20)
    assert len(other) == 20
    assert "computed again, differs by" in other[0]
    fewer = verify_maps(path, _source(items=_source().items[1:]), count=20)
    assert fewer == ["source: has no object object-0"]
    first, *others = _source().items
    for change in ({"label": 1 - first.label}, {"split": "val"}):
        changed = _source(items=(replace(first, **change), *others))
        assert verify_maps(path, changed, count=20) == ["source: another label or split for object-0"]


@pytest.mark.parametrize("bytes_at_once", [1, 20_000])
def test_the_blocks_of_a_file_are_bounded_in_bytes(
    tmp_path: Path, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _made(tmp_path / "a.h5")
    monkeypatch.setattr("data_prep.maps.reader.BYTES_AT_ONCE", bytes_at_once)
    read, most = MapFile.read, []

    def counted(maps: MapFile, rows: Any = None) -> Any:
        most.append(read(maps, rows).nbytes)
        return read(maps, rows)

    monkeypatch.setattr(MapFile, "read", counted)
    assert verify_maps(path) == []  # the digest is the same, however it is read
    assert max(most) <= max(bytes_at_once, 4 * int(np.prod(BASIS.shape)))
    _change(path, lambda file: file["maps"].__setitem__((19, 1, 2, 2), np.nan), forge=True)
    assert verify_maps(path)[0].startswith("maps: 1 of 20 hold values")


def test_missing_file_is_a_finding(tmp_path: Path) -> None:
    (finding,) = verify_maps(tmp_path / "a.h5")
    assert finding.startswith("no such file")
