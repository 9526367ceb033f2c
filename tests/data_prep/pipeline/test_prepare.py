import pickle
import sys
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_prep.basis import Basis, harmonics_basis, pixel_basis, zernike_basis
from data_prep.geometry.surface_sampling import resample_cloud
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.layout import fold
from data_prep.pipeline import prepare as pipeline
from data_prep.pipeline.image_survey import find_image_basis
from data_prep.pipeline.object_to_map import object_to_map, rows_to_maps
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.shape_to_map import cloud_to_map
from data_prep.pipeline.workers import _count_memory
from data_prep.readers.image import resize_source
from data_prep.source import ArrayRow, Image, Item, Shape, Source
from data_prep.sources.catalogue import open_source
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import TOO_LARGE, ObjectError, UserError

SMALL = zernike_basis(6, 3, points=128)


# Worker processes cannot import this file, so loaders consist of installed functions.


def _cloud(seed: int) -> partial[Shape]:
    return partial(Shape, np.random.default_rng(seed).normal(size=(200, 3)) * [1, 2, 3])


BAD = partial(resample_cloud, np.zeros((0, 3)), 1, None)  # raises ObjectError("a cloud without points")
HUGE = partial(np.ones, 1 << 59)  # raises MemoryError
BUG = partial(int, "a bug")  # raises ValueError


def _image(value: int, channels: int = 1, side: int = 5) -> Image:
    return np.full((channels, side, side), value, np.uint8)


def _source(*loaders: object, kind: str = "shapes", **more: object) -> Source:
    items = tuple(
        Item(f"object-{number}", number % 2, "test" if number % 5 == 4 else "train", load)
        for number, load in enumerate(loaders)
    )
    return Source(name="few", kind=kind, classes=("even", "odd"), items=items, digest="d", **more)


CLOUDS = _source(*(_cloud(seed) for seed in range(70)))


@pytest.mark.parametrize("keep_points", [False, True])
def test_same_bytes_for_any_number_of_workers(tmp_path: Path, keep_points: bool) -> None:
    files = []
    for workers in (0, 1, 4, 0):
        files.append(tmp_path / f"{len(files)}.h5")
        prepare_maps(CLOUDS, SMALL, files[-1], workers=workers, keep_points=keep_points)
    assert len({file.read_bytes() for file in files}) == 1


def test_result_does_not_depend_on_order_or_other_objects(tmp_path: Path) -> None:
    whole = prepare_maps(CLOUDS, SMALL, tmp_path / "whole.h5", workers=0)
    items = CLOUDS.items[40:10:-3]
    part = Source(name="few", kind="shapes", classes=CLOUDS.classes, items=items)
    few = prepare_maps(part, SMALL, tmp_path / "few.h5", workers=0)
    rows = np.array([whole.ids.index(identity) for identity in few.ids])
    assert few.ids == tuple(item.id for item in items)
    np.testing.assert_array_equal(few.read(), whole.read(rows))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_object_that_does_not_fit_into_memory_is_counted(tmp_path: Path, workers: int) -> None:
    loaders = [_cloud(seed) for seed in range(40)]
    made = prepare_maps(_source(*loaders[:20], HUGE, *loaders[20:]), SMALL, tmp_path / "a.h5", workers=workers)
    assert made.failures == (("object-20", TOO_LARGE),)
    images = [partial(_image, value) for value in range(40)]
    survey = find_image_basis(_source(*images[:20], HUGE, *images[20:], kind="images"))
    assert survey.shape == (1, 5, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are limited on Linux only")
def test_a_worker_has_its_share_of_the_memory(tmp_path: Path) -> None:
    """Reserve more than a worker's share, without touching it; the system allows that, and would kill for its use."""
    memory = _count_memory()
    for part, failures in ((0.6, (TOO_LARGE,)), (0.2, ("a cloud with a shape",))):
        bomb = partial(_reserve, int(part * memory))
        made = prepare_maps(_source(*map(_cloud, range(40)), bomb), SMALL, tmp_path / f"{part}.h5", workers=2)
        assert len(made) == 40
        assert [reason.startswith(failures[0]) for _, reason in made.failures] == [True], made.failures


def _reserve(size: int) -> np.ndarray:
    np.empty(size, np.uint8)
    raise ObjectError("a cloud with a shape of its own")


def test_rows_have_ids_labels_and_splits(tmp_path: Path) -> None:
    made = prepare_maps(CLOUDS, SMALL, tmp_path / "a.h5", workers=0)
    assert len(made) == 70
    assert made.ids == tuple(item.id for item in CLOUDS.items)
    assert made.labels.tolist() == [item.label for item in CLOUDS.items]
    assert made.splits.tolist() == [item.split for item in CLOUDS.items]
    assert made.basis == SMALL
    assert made.classes == ("even", "odd")
    assert not made.has_points
    with h5py.File(made.path) as file:
        assert file.attrs["source_up"] == "+z"
        assert file.attrs["source_digest"] == "d"


@pytest.mark.parametrize("basis", [zernike_basis(8, points=64), SMALL, harmonics_basis(4, 3, points=64)])
def test_a_map_is_the_folded_transform_of_the_stored_cloud(tmp_path: Path, basis: Basis) -> None:
    made = prepare_maps(CLOUDS, basis, tmp_path / "a.h5", workers=0, keep_points=True)
    values, cloud = object_to_map(CLOUDS.items[7], basis, "+z")
    np.testing.assert_array_equal(made.read(np.array([7]))[0], values)
    assert cloud is not None
    stored = made.read_points(np.array([7]))[0]
    np.testing.assert_allclose(stored, cloud, atol=1e-3)
    assert (np.abs(stored) <= np.abs(cloud)).all()
    assert np.linalg.norm(made.read_points(), axis=2).max() < 1
    if basis.kind == "zernike":
        radial = basis.radial if basis.truncation == "rectangular" else None
        expected = fold(zernike_moments(cloud[None], basis.degree, radial=radial), basis)[0]
        np.testing.assert_array_equal(values, expected)


def test_up_axis(tmp_path: Path) -> None:
    # With as many points as the cloud has, nothing is sampled, so that only the axis matters.
    basis = zernike_basis(6, 3, points=200)
    turned = _source(_cloud(3), up="+y")
    maps = prepare_maps(turned, basis, tmp_path / "own.h5", workers=0).read()
    expected = cloud_to_map(move_to_unit_ball(_cloud(3)().points, "+y"), basis)
    np.testing.assert_array_equal(maps[0], expected)
    other = prepare_maps(turned, basis, tmp_path / "given.h5", workers=0, up="+z").read()
    np.testing.assert_array_equal(other[0], cloud_to_map(move_to_unit_ball(_cloud(3)().points, "+z"), basis))
    assert np.abs(other - maps).max() > 0.01
    with h5py.File(tmp_path / "given.h5") as file:
        assert file.attrs["source_up"] == "+z"
    with pytest.raises(UserError, match="unknown up axis"):
        prepare_maps(turned, basis, tmp_path / "x.h5", up="y")


def test_sampling_seed_matters(tmp_path: Path) -> None:
    first = prepare_maps(CLOUDS, SMALL, tmp_path / "a.h5", workers=0)
    second = prepare_maps(CLOUDS, zernike_basis(6, 3, points=128, seed=1), tmp_path / "b.h5", workers=0)
    assert np.abs(first.read() - second.read()).max() > 1e-3


@pytest.mark.parametrize("workers", [0, 2])
def test_failures_are_rows(tmp_path: Path, workers: int) -> None:
    loaders = [_cloud(seed) for seed in range(40)]
    loaders[3] = BAD
    loaders[39] = partial(Shape, np.ones((9, 3)))
    seen: list[tuple[int, int]] = []
    made = prepare_maps(
        _source(*loaders, missing=(("gone", "no model file"),)),
        SMALL,
        tmp_path / "a.h5",
        workers=workers,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert made.failures == (
        ("gone", "no model file"),
        ("object-3", "a cloud without points"),
        ("object-39", "zero extent: all points coincide"),
    )
    assert len(made) == 38
    assert "object-3" not in made.ids
    assert np.isfinite(made.read()).all()
    assert seen[-1] == (41, 41)
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("loaders", "error", "reason"),
    [
        ([BAD] * 40, UserError, "all 40 objects.*failed.*a cloud without points"),
        ([_cloud(0)] * 39 + [BUG], ValueError, "a bug"),
        ([], UserError, "all 0 objects.*failed.*empty"),
    ],
)
def test_a_failed_prep_leaves_no_file(
    tmp_path: Path, workers: int, loaders: list[object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        prepare_maps(_source(*loaders), SMALL, tmp_path / "a.h5", workers=workers)
    # Finished work stays if the same command can resume it.
    assert [path.name for path in tmp_path.iterdir()] in ([], [".a.h5.prep"])
    if error is UserError:
        assert list(tmp_path.iterdir()) == []


def test_existing_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    out.write_bytes(b"mine")
    with pytest.raises(UserError, match="exists already"):
        prepare_maps(_source(BUG), SMALL, out, workers=0)  # refused before any work
    assert out.read_bytes() == b"mine"
    with pytest.raises(ValueError, match="a bug"):
        prepare_maps(_source(BUG), SMALL, out, workers=0, overwrite=True)
    assert out.read_bytes() == b"mine"
    assert len(prepare_maps(CLOUDS, SMALL, out, workers=0, overwrite=True)) == 70


def test_images(tmp_path: Path) -> None:
    source = _source(
        partial(_image, 0),
        partial(_image, 255, 3),
        partial(_image, 51),
        partial(_image, 153, 3, 6),
        BAD,
        kind="images",
    )
    basis = find_image_basis(source)
    assert basis == pixel_basis(3, 5, 5)
    made = prepare_maps(source, basis, tmp_path / "a.h5")
    maps = made.read()
    assert maps.dtype == np.float32
    # The image of another size is scaled.
    np.testing.assert_allclose(maps[:, :, 2, 2], [[-1] * 3, [1] * 3, [-0.6] * 3, [0.2] * 3], atol=1e-6)
    assert [identity for identity, _ in made.failures] == ["object-4"]


def test_a_colour_image_never_becomes_grey(tmp_path: Path) -> None:
    source = _source(partial(_image, 51), partial(_image, 255, 3), kind="images")
    made = prepare_maps(source, pixel_basis(1, 5, 5), tmp_path / "a.h5")
    assert made.failures == (("object-1", "a colour image for grey maps: 3 channels, not 1"),)


def _rows(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 1, 6, 5), np.uint8)


def _row(count: int, row: int) -> np.ndarray:
    return _rows(count)[row]


def test_images_in_an_array_give_the_same_file(tmp_path: Path) -> None:
    read = partial(_rows, 3000)
    fast = _source(*(ArrayRow(read, row) for row in range(3000)), kind="images")
    slow = _source(*(partial(_row, 3000, row) for row in range(0, 3000, 500)), kind="images")
    reported: list[int] = []
    made = prepare_maps(
        fast,
        pixel_basis(1, 6, 5),
        tmp_path / "fast.h5",
        progress=lambda done, total: reported.append(done),
    )
    assert reported == [1024, 2048, 3000]
    # In a worker process the items are copies, and are transformed together too.
    copies = pickle.loads(pickle.dumps(fast.items[40:50]))
    np.testing.assert_array_equal(rows_to_maps(copies, made.basis), made.read(np.arange(40, 50)))
    assert rows_to_maps([fast.items[0], slow.items[0]], made.basis) is None
    # Scaled images are scaled together, and give the maps of scaled single images.
    small = resize_source(fast, 4)
    basis = find_image_basis(small)
    together = rows_to_maps(small.items[:9], basis)
    one_at_a_time = [object_to_map(item, basis, "+z")[0] for item in resize_source(slow, 4).items[:1]]
    np.testing.assert_array_equal(together[0], one_at_a_time[0])
    np.testing.assert_array_equal(together, [object_to_map(item, basis, "+z")[0] for item in small.items[:9]])
    # Rows for maps of another kind are transformed one by one, and those that do not fit fail.
    colour = prepare_maps(fast, pixel_basis(3, 6, 5), tmp_path / "colour.h5", workers=0)
    np.testing.assert_array_equal(colour.read([7])[0], np.repeat(made.read([7])[0], 3, axis=0))
    with pytest.raises(UserError, match=r"all 3000 objects.*failed.*1 channels, not 2"):
        prepare_maps(fast, pixel_basis(2, 6, 5), tmp_path / "none.h5", workers=0)


def test_images_that_cannot_be_maps() -> None:
    with pytest.raises(UserError, match="no readable image"):
        find_image_basis(_source(BAD, kind="images"))
    with pytest.raises(UserError, match="too large"):
        find_image_basis(_source(partial(_image, 1, 1, 600), kind="images"))
    with pytest.raises(UserError, match="a source of shapes"):
        find_image_basis(CLOUDS)


@pytest.mark.parametrize(
    ("source", "basis", "more", "reason"),
    [
        (CLOUDS, pixel_basis(1, 8, 8), {}, "does not fit shapes"),
        (_source(partial(_image, 1), kind="images"), SMALL, {}, "does not fit images"),
        (_source(partial(_image, 1), kind="images"), pixel_basis(1, 5, 5), {"keep_points": True}, "no points"),
        (_source(partial(_image, 1), kind="images"), pixel_basis(1, 5, 5), {"up": "+z"}, "no up axis"),
        (CLOUDS, zernike_basis(6, points=0), {}, "points per object"),
        (CLOUDS, zernike_basis(6, seed=-1), {}, "negative seed"),
        (CLOUDS, SMALL, {"workers": -1}, "negative number of workers"),
        (Source("twice", "shapes", (), CLOUDS.items[:1] * 2), SMALL, {}, "same name"),
    ],
)
def test_invalid_settings_are_refused(
    tmp_path: Path, source: Source, basis: Basis, more: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        prepare_maps(source, basis, tmp_path / "a.h5", **more)
    assert list(tmp_path.iterdir()) == []


def test_small_sources_start_no_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.Parallel", lambda *_, **__: pytest.fail("processes started"))
    assert len(prepare_maps(CLOUDS, SMALL, tmp_path / "a.h5")) == 70
    monkeypatch.setattr(pipeline, "TOO_FEW_FOR_WORKERS", 10)
    monkeypatch.setattr("joblib.cpu_count", lambda: 2)
    with pytest.raises(pytest.fail.Exception, match="processes started"):
        prepare_maps(CLOUDS, SMALL, tmp_path / "b.h5")


def test_built_in_shapes_are_neither_trivial_nor_hopeless(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    made = prepare_maps(open_source("shapes"), zernike_basis(8, 4, points=512), tmp_path / "a.h5", workers=0)
    values = ((made.read() - made.mean) / made.std).reshape(len(made), -1)
    train, test = made.rows("train"), made.rows("test")
    probe = LogisticRegression(C=0.003, max_iter=1000).fit(values[train], made.labels[train])
    assert 0.3 < probe.score(values[test], made.labels[test]) < 0.9  # chance is 0.08
