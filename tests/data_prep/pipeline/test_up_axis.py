"""Objects that are not upright give warnings, on the built-in shapes."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.geometry.unit_ball import TURNS
from data_prep.layout import unfold
from data_prep.maps.reader import MapFile
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.shape_to_map import cloud_to_map
from data_prep.pipeline.up_axis import _fit_weights, find_up_axis_warnings
from data_prep.pipeline.verify import verify_maps
from data_prep.source import Item, Shape, Source, Up
from data_prep.sources.built_in.shapes import make_shape
from data_prep.sources.catalogue import open_source

BASES = [zernike_basis(6, points=256), zernike_basis(5, 3, points=256), harmonics_basis(4, 8, points=256)]


@cache
def _load(identity: str) -> Shape:
    """Make a mesh once: this takes longer than its map, and the tests here make maps of the same meshes again."""
    return make_shape(identity)


def _open_shapes(*kinds: str) -> Source:
    """Return the built-in shapes of these classes, all of them where none is named."""
    source = open_source("shapes")
    items = [item for item in source.items if not kinds or source.classes[item.label] in kinds]
    return replace(source, items=tuple(replace(item, load=partial(_load, item.id)) for item in items))


def _turned_load(item: Item, up: Up) -> Shape:
    """Turn the object as in a file with another axis upwards."""
    shape = item.load()
    assert isinstance(shape, Shape)
    axes, signs = TURNS[up]
    points = np.empty_like(shape.points)
    points[:, axes] = shape.points * signs  # Prep undoes this turn.
    return Shape(points, shape.faces)


def _with_turned_split(split: str, up: Up, *, labelled: bool = True, kinds: tuple[str, ...] = ()) -> Source:
    source = _open_shapes(*kinds)
    items = [
        replace(item, load=partial(_turned_load, item, up)) if item.split == split else item for item in source.items
    ]
    return replace(source, items=tuple(item if labelled else replace(item, label=-1) for item in items))


def _findings(path: Path, source: Source, basis: Basis) -> list[str]:
    return verify_maps(prepare_maps(source, basis, path, workers=0, overwrite=True).path)


@pytest.mark.parametrize("up", TURNS)
def test_a_turned_split_is_detected(tmp_path: Path, up: Up) -> None:
    kinds = ("bottle", "chair", "cone", "stairs")
    findings = _findings(tmp_path / "a.h5", _with_turned_split("test", up, kinds=kinds), BASES[1])
    if up == "+z":
        assert findings == []
        return
    (finding,) = findings
    assert "the test split does not stand as the training split does" in finding
    assert f"with {up} of the maps taken as up" in finding


@pytest.mark.parametrize("basis", BASES)
def test_a_turned_split_without_labels(tmp_path: Path, basis: Basis) -> None:
    kinds = ("bottle", "chair", "lamp", "table")
    assert _findings(tmp_path / "a.h5", _with_turned_split("val", "+z", labelled=False, kinds=kinds), basis) == []
    (finding,) = _findings(tmp_path / "a.h5", _with_turned_split("test", "+y", labelled=False, kinds=kinds), basis)
    assert "the test split does not stand" in finding


def test_another_mix_of_classes_is_no_turn(tmp_path: Path) -> None:
    source = _open_shapes("bottle", "chair", "lamp", "table")
    few = [item for item in source.items if item.split == "train" or source.classes[item.label] == "table"]
    assert _findings(tmp_path / "a.h5", replace(source, items=tuple(few)), BASES[0]) == []


def test_low_objects_that_stand_on_end(tmp_path: Path) -> None:
    """Blocks of a bed's proportions replace beds."""
    generator = np.random.default_rng(0)
    sizes = generator.uniform([1.2, 1.8, 0.3], [1.8, 2.4, 0.8], (40, 3))
    items = tuple(
        Item(f"bed-{number}", 0, "train", partial(Shape, generator.uniform(-1, 1, (400, 3)) * size))
        for number, size in enumerate(sizes)
    )
    source = Source("beds", "shapes", ("bed",), items, digest="d")
    assert _findings(tmp_path / "a.h5", source, BASES[0]) == []
    for up, lies in (("+y", "y"), ("-x", "x")):
        (finding,) = _findings(tmp_path / "a.h5", replace(source, up=up), BASES[0])
        assert "beds, sofas and bathtubs" in finding
        assert f"up along {lies} of the maps" in finding


def test_distance_maps_and_images_give_no_warning(random_maps: MapFile) -> None:
    for basis in (radial_basis(8), pixel_basis(1, 9, 9)):
        assert find_up_axis_warnings(replace(random_maps, basis=basis, classes=("table", "desk", "bed"))) == []


def _tables(*, chairs: bool = False, count: int = 40) -> Source:
    source = _open_shapes("chair" if chairs else "table")
    return replace(source, items=source.items[:count])


@pytest.mark.parametrize("basis", BASES)
def test_moments_of_clouds(basis: Basis) -> None:
    clouds = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 50, 3)).astype(np.float32)
    maps = np.stack([cloud_to_map(cloud, basis) for cloud in clouds])
    measured = unfold(maps, basis) @ _fit_weights(basis)
    for power, columns in ((2, slice(0, 3)), (3, slice(3, 6))):
        # maps are of scaled clouds: their moments differ by one factor
        expected = (clouds**power).mean(axis=1)
        factor = (measured[:, columns] * expected).sum() / (expected**2).sum()
        if basis.kind == "zernike":
            np.testing.assert_allclose(
                measured[:, columns], factor * expected, atol=1e-4 * np.abs(factor * expected).max()
            )
        else:
            assert np.corrcoef(measured[:, columns].ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("basis", BASES)
def test_turned_tables_are_detected(tmp_path: Path, basis: Basis) -> None:
    def findings(up: str, source: Source) -> list[str]:
        return verify_maps(prepare_maps(source, basis, tmp_path / "a.h5", workers=0, up=up, overwrite=True).path)

    assert findings("+z", _tables()) == []
    # +z is up in the files. Taken for another axis, it puts the tops on that axis of the maps.
    for up, lies in (("-z", "-z"), ("+y", "-y"), ("-y", "+y"), ("+x", "-x"), ("-x", "+x")):
        (finding,) = findings(up, _tables())
        assert "looks turned" in finding
        assert f"up along {lies} " in finding
    # Chairs, or a few tables, give no evidence.
    assert findings("+y", _tables(chairs=True)) == []
    assert findings("+y", _tables(count=19)) == []
    unlabelled = replace(_tables(), items=tuple(replace(item, label=-1) for item in _tables().items))
    assert findings("+y", unlabelled) == []
