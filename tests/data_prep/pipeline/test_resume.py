"""An interrupted prep resumes, and gives the same bytes as a prep without interruption."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import call

from data_prep.basis import zernike_basis
from data_prep.pipeline import prepare as pipeline
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.work_folder import get_work_folder, open_work_folder
from data_prep.source import Item, Shape, Source
from spectral_ssl.ground.errors import ObjectError, UserError

SMALL = zernike_basis(6, 3, points=64)
OBJECTS = 70  # five batches, the last one not full


def _load(seed: int, loaded: list[int]) -> Shape:
    loaded.append(seed)
    if seed == 20:
        raise ObjectError("object 20 is bad")
    return Shape(np.random.default_rng(seed).normal(size=(80, 3)))


def _source(loaded: list[int] | None = None, digest: str = "d", **more: object) -> Source:
    seen = [] if loaded is None else loaded
    items = tuple(
        Item(f"object-{seed}", 0, "test" if seed % 5 == 4 else "train", partial(_load, seed, seen))
        for seed in range(OBJECTS)
    )
    return Source("made-up", "shapes", ("one",), items, digest=digest, missing=(("gone", "no file"),), **more)


class Stopped(BaseException):
    """An interruption that is not an Exception, like KeyboardInterrupt."""


def _stop_after(batches: int) -> Callable[[int, int], None]:
    calls = [0]

    def progress(done: int, total: int) -> None:
        calls[0] += 1
        if calls[0] == batches:
            raise Stopped

    return progress


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """Return the bytes of a prep without interruption."""
    path = tmp_path / "whole.h5"
    prepare_maps(_source(), SMALL, path, workers=0, keep_points=True)
    assert not get_work_folder(path).exists()
    return path.read_bytes()


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 5])
def test_finished_batches_are_not_repeated(tmp_path: Path, whole: bytes, batches: int) -> None:
    out = tmp_path / "a.h5"
    first: list[int] = []
    with pytest.raises(Stopped):
        prepare_maps(_source(first), SMALL, out, workers=0, keep_points=True, progress=_stop_after(batches))
    assert not out.exists()
    again: list[int] = []
    seen: list[int] = []
    prepare_maps(
        _source(again), SMALL, out, workers=0, keep_points=True, progress=lambda done, total: seen.append(done)
    )
    assert out.read_bytes() == whole
    assert first + again == list(range(OBJECTS))
    assert not get_work_folder(out).exists()
    assert seen[-1:] == ([OBJECTS + 1] if batches < 5 else [])


@pytest.mark.parametrize(
    ("source", "basis", "more", "named"),
    [
        (_source(), zernike_basis(5, 3, points=64), {}, "degree 6 against 5"),
        (_source(), zernike_basis(6, 3, points=65), {}, "points 64 against 65"),
        (_source(), zernike_basis(6, 3, points=64, seed=1), {}, "seed 0 against 1"),
        (_source(), SMALL, {"up": "+y"}, r"up axis of the source \+z against \+y"),
        (_source(), SMALL, {"keep_points": True}, "kept points False against True"),
        (_source(digest="e"), SMALL, {}, "other files, classes or splits"),
        (Source("made-up", "shapes", ("one",), _source().items[:-1], digest="d"), SMALL, {}, "other objects"),
    ],
)
def test_other_work_is_an_error_that_names_the_difference(
    tmp_path: Path, source: Source, basis: object, more: dict[str, object], named: str
) -> None:
    out = tmp_path / "a.h5"
    with pytest.raises(Stopped):
        prepare_maps(_source(), SMALL, out, workers=0, progress=_stop_after(2))
    with pytest.raises(UserError, match=f"unfinished prep.*{named}.*--overwrite") as caught:
        prepare_maps(source, basis, out, workers=0, **more)
    assert "\n" not in str(caught.value)
    assert sorted(path.suffix for path in get_work_folder(out).glob("*.shard")) == [".shard"] * 2  # nothing was lost
    started_anew = prepare_maps(source, basis, out, workers=0, overwrite=True, **more)
    other = prepare_maps(source, basis, tmp_path / "b.h5", workers=0, **more)
    assert started_anew.path.read_bytes() == other.path.read_bytes()


def test_an_existing_file_names_the_difference_too(tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    prepare_maps(_source(), SMALL, out, workers=0)
    before = out.read_bytes()
    with pytest.raises(UserError, match=r"exists already.*degree 6 against 4.*--overwrite"):
        prepare_maps(_source(), zernike_basis(4, 3, points=64), out, workers=0)
    # With equal parameters nothing is done.
    loaded: list[int] = []
    assert len(prepare_maps(_source(loaded), SMALL, out, workers=0)) == OBJECTS - 1
    assert not loaded
    assert out.read_bytes() == before
    assert not get_work_folder(out).exists()


def test_killed_after_the_file_was_complete(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "a.h5"
    with pytest.raises(Stopped):
        prepare_maps(_source(), SMALL, out, workers=0, keep_points=True, progress=_stop_after(5))
    out.write_bytes(whole)
    loaded: list[int] = []
    assert len(prepare_maps(_source(loaded), SMALL, out, workers=0, keep_points=True)) == OBJECTS - 1
    assert not loaded
    assert out.read_bytes() == whole
    assert not get_work_folder(out).exists()


def test_unfinished_work_that_replaces_a_file_is_not_deleted(tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    prepare_maps(_source(), SMALL, out, workers=0)
    first = out.read_bytes()
    later = zernike_basis(8, points=64)
    with pytest.raises(Stopped):
        prepare_maps(_source(), later, out, workers=0, overwrite=True, progress=_stop_after(3))
    with pytest.raises(UserError, match=r"unfinished prep.*degree 8 against 6.*--overwrite"):
        prepare_maps(_source(), SMALL, out, workers=0)
    assert len(list(get_work_folder(out).glob("*.shard"))) == 3
    assert out.read_bytes() == first
    loaded: list[int] = []
    prepare_maps(_source(loaded), later, out, workers=0, overwrite=True)
    assert loaded == list(range(3 * pipeline.BATCH, OBJECTS))


@pytest.mark.parametrize("name", ["folder", "resized"])
def test_changed_files_of_equal_size_are_detected(tmp_path: Path, name: str) -> None:
    from PIL import Image as Pillow

    from data_prep.pipeline.image_survey import find_image_basis
    from data_prep.sources.catalogue import open_source

    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(40):
        Pillow.new("L", (8, 8), number).save(folder / f"{number:02d}.bmp")  # all of one size in bytes

    def opened_anew() -> Source:
        return open_source(f"folder:{folder}", size=4 if name == "resized" else None)

    source, out = opened_anew(), tmp_path / "a.h5"
    with pytest.raises(Stopped):
        prepare_maps(source, find_image_basis(source), out, workers=0, progress=_stop_after(1))
    prepare_maps(opened_anew(), find_image_basis(source), tmp_path / "b.h5", workers=0)
    Pillow.new("L", (8, 8), 200).save(folder / "07.bmp")
    os.utime(folder / "07.bmp", ns=(0, 10**18))
    changed = opened_anew()
    assert changed.digest == source.digest
    with pytest.raises(UserError, match=r"unfinished prep.*files that were written since"):
        prepare_maps(changed, find_image_basis(changed), out, workers=0)
    made = prepare_maps(changed, find_image_basis(changed), out, workers=0, overwrite=True)
    assert made.read()[7].mean() == pytest.approx(200 / 127.5 - 1)
    # a finished file does not depend on times
    for path in folder.iterdir():
        os.utime(path, ns=(0, 2 * 10**18))
    again = prepare_maps(opened_anew(), find_image_basis(changed), tmp_path / "c.h5", workers=0)
    assert again.path.read_bytes() == made.path.read_bytes()


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"", lambda data: data[:-1] + b"\xff"])
def test_a_damaged_shard_is_computed_again(tmp_path: Path, whole: bytes, damage: Callable[[bytes], bytes]) -> None:
    out = tmp_path / "a.h5"
    with pytest.raises(Stopped):
        prepare_maps(_source(), SMALL, out, workers=0, keep_points=True, progress=_stop_after(3))
    shard = get_work_folder(out) / "00000001.shard"
    shard.write_bytes(damage(shard.read_bytes()))
    loaded: list[int] = []
    prepare_maps(_source(loaded), SMALL, out, workers=0, keep_points=True)
    assert out.read_bytes() == whole
    assert loaded[:16] == list(range(16, 32))


def test_shards_without_a_manifest_are_not_used(tmp_path: Path, whole: bytes) -> None:
    out = tmp_path / "a.h5"
    with pytest.raises(Stopped):
        prepare_maps(_source(), SMALL, out, workers=0, keep_points=True, progress=_stop_after(3))
    (get_work_folder(out) / "manifest.json").unlink()
    loaded: list[int] = []
    prepare_maps(_source(loaded), SMALL, out, workers=0, keep_points=True)
    assert loaded == list(range(OBJECTS))
    assert out.read_bytes() == whole


def test_two_at_once(tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    with open_work_folder(out), pytest.raises(UserError, match="another prep is making this file"):
        prepare_maps(_source(), SMALL, out, workers=0)
    assert list(tmp_path.iterdir()) == []
    assert len(prepare_maps(_source(), SMALL, out, workers=0)) == OBJECTS - 1


def test_a_removed_lock_file_protects_nothing(tmp_path: Path) -> None:
    """One process finishes while another waits between opening the lock file and locking it."""
    out = tmp_path / "a.h5"
    with open_work_folder(out) as work:
        work.remove()
        with open_work_folder(out) as other:
            assert (other.folder / "lock").exists()
    assert not get_work_folder(out).exists()


def test_a_source_that_vanishes_midway(tmp_path: Path) -> None:
    """Objects that cannot be read any more become rows of failures; the others get maps."""
    from data_prep.sources.catalogue import open_source

    folder = tmp_path / "clouds"
    folder.mkdir()
    for seed in range(40):
        np.save(folder / f"{seed:02d}.npy", np.random.default_rng(seed).normal(size=(80, 3)))
    source = open_source(f"folder:{folder}")

    def vanish(done: int, total: int) -> None:
        if done == pipeline.BATCH:
            shutil.rmtree(folder)

    made = prepare_maps(source, SMALL, tmp_path / "a.h5", workers=0, progress=vanish)
    assert len(made) == pipeline.BATCH
    assert len(made.failures) == 40 - pipeline.BATCH
    assert "No such file" in made.failures[0][1]


def _begin(clouds: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spectral_ssl", "prep", "--dataset", f"folder:{clouds}", "--out", str(out)]
    return subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _children(process: int) -> set[int]:
    """List the processes that a process has started, from Linux' proc files."""
    children = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            if int(status.read_text().rpartition(")")[2].split()[1]) == process:
                children.add(int(status.parent.name))
    return children


def _runs(process: int) -> bool:
    """Return whether a process is running and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:  # it is gone
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_the_workers_of_a_killed_process_end(tmp_path: Path) -> None:
    clouds = tmp_path / "clouds"
    clouds.mkdir()
    for seed in range(1000):
        np.save(clouds / f"{seed:03d}.npy", np.random.default_rng(seed).normal(size=(300, 3)))
    out = tmp_path / "a.h5"
    process = _begin(clouds, out, workers=2)
    while process.poll() is None and not list(get_work_folder(out).glob("*.shard")):
        time.sleep(0.001)
    workers = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(workers) >= 2
    end = time.monotonic() + 20
    while (left := [worker for worker in workers if _runs(worker)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left


def _killed_and_started_again(tmp_path: Path, moments: int, workers: int) -> None:
    clouds, folder = tmp_path / "clouds", tmp_path / "maps"
    clouds.mkdir()
    folder.mkdir()
    for seed in range(1000):
        np.save(clouds / f"{seed:03d}.npy", np.random.default_rng(seed).normal(size=(300, 3)))
    done = call("prep", "--dataset", f"folder:{clouds}", "--out", folder / "whole.h5", "--workers", "0")
    assert done.returncode == 0, done.stderr
    whole = (folder / "whole.h5").read_bytes()
    out = folder / "a.h5"
    chance = random.Random(workers)
    duration = 0.0  # of the process that resumed the last prep
    shards_at_kill = []
    for number in range(moments):
        process = _begin(clouds, out, workers)
        if number % 2:  # at any time of the run
            time.sleep(duration * chance.uniform(0.2, 1.0))
        else:  # in the midst of the work, however long Python takes to start
            batches = chance.randrange(1, 63)
            while process.poll() is None and len(list(get_work_folder(out).glob("*.shard"))) < batches:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.wait()
        shards_at_kill.append(len(list(get_work_folder(out).glob("*.shard"))))
        if not out.exists() or get_work_folder(out).exists():  # it was killed before it was done
            begin = time.monotonic()
            process = _begin(clouds, out, workers)
            _, message = process.communicate(timeout=300)
            duration = time.monotonic() - begin
            assert process.returncode == 0, message
        assert out.read_bytes() == whole
        assert sorted(os.listdir(folder)) == ["a.h5", "whole.h5"]  # noqa: PTH208
        out.unlink()
    assert any(shards_at_kill)  # some were killed in the midst of the work


def test_killed_at_random_moments(tmp_path: Path) -> None:
    _killed_and_started_again(tmp_path, 2, workers=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_many_random_moments(tmp_path: Path, workers: int) -> None:
    _killed_and_started_again(tmp_path, 20, workers)
