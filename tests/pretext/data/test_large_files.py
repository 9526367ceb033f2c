"""Large data sets: memory that does not grow with them, a quick start, and little waiting for data."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from faults import assert_one_line, child
from method_cases import run_command_line

import spectral_ssl
from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.maps.reader import open_maps
from data_prep.maps.row_offsets import find_row_offsets
from data_prep.maps.writer import MapWriter
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

ROOT = Path(__file__).parents[3]
SETTINGS = ("width=2", "code=8", "batch_size=64", "log_every=1")


def write_many(path: Path, basis: Basis, count: int) -> Path:
    """Write a map file with ``count`` maps of noise, a few different ones repeated."""
    some = np.random.default_rng(0).uniform(-1, 1, size=(1000, *basis.shape)).astype(np.float32)
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=["a"], count=count, created_by="test"
    ) as writer:
        for start in range(0, count, len(some)):
            rows = range(start, min(start + len(some), count))
            writer.append(
                some[: len(rows)], [f"object-{row:08d}" for row in rows], [0] * len(rows), ["train"] * len(rows)
            )
    return path


def train(data: Path, out: Path, max_minutes: float = 0) -> TrainedRun:
    return spectral_ssl.pretrain(
        data, method="regression", task="denoise", epochs=1, max_minutes=max_minutes, settings=SETTINGS, out=out
    )


# Train and export with a small file and with a large one, each in a child of its own, and print the largest memory (MB)
# of each child. The children are forked, so that the imports are paid for once.
WORK = """
import json, os, sys
from pathlib import Path
from test_large_files import train
import spectral_ssl, spectral_ssl.verbs.features.export
small, large, folder = map(Path, sys.argv[1:])

def measure(work):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_maxrss / 1024

peaks = [measure(lambda: train(data, folder / data.stem, max_minutes=0.01)) for data in (small, large)]
for data in (small, large):
    out = folder / f"{data.stem}-features.h5"
    peaks.append(measure(lambda: spectral_ssl.export(folder / "small", data=data, out=out)))
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_the_maps(tmp_path: Path) -> None:
    basis = pixel_basis(1, 32, 32)  # 4 kB a map
    small = write_many(tmp_path / "small.h5", basis, 5_000)
    large = write_many(tmp_path / "large.h5", basis, 50_000)
    size = large.stat().st_size / 2**20
    assert size > 200
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", WORK, small, large, tmp_path],
        env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout.splitlines()[-1])
    assert peaks[1] - peaks[0] < 0.2 * size, peaks
    assert peaks[3] - peaks[2] < 0.2 * size, peaks


def test_rows_read_by_offset_equal_those_that_hdf5_reads(tmp_path: Path) -> None:
    path = write_many(tmp_path / "some.h5", zernike_basis(4), 2500)
    maps = open_maps(path)
    with h5py.File(path) as file:
        places = find_row_offsets(file["maps"])
        assert places is not None
        assert len(places.rows) < 200
        expected = file["maps"][:]
    rows = np.random.default_rng(1).integers(0, 2500, 300)
    assert (maps.read(rows) == expected[rows]).all()
    assert (maps.read() == expected).all()
    assert maps.read(np.empty(0, np.int64)).shape == (0, *maps.basis.shape)
    with pytest.raises(IndexError):
        maps.read(np.array([2500]))


@pytest.mark.parametrize("how", ["several rows a chunk", "float64", "contiguous"])
def test_columns_of_another_layout_are_read_too(tmp_path: Path, how: str) -> None:
    path = write_many(tmp_path / "some.h5", zernike_basis(4), 50)
    expected = open_maps(path).read()
    layouts: dict[str, dict[str, object]] = {
        "several rows a chunk": {"chunks": (7, *expected.shape[1:])},
        "float64": {"dtype": "f8", "chunks": (1, *expected.shape[1:])},
        "contiguous": {},
    }
    with h5py.File(path, "r+") as file:
        del file["maps"]
        column = file.create_dataset("maps", data=expected, **layouts[how])
        file.flush()
        assert (find_row_offsets(column) is not None) == (how == "contiguous")
    rows = np.array([49, 3, 3, 17])
    assert (open_maps(path).read(rows) == expected[rows]).all()


def test_a_truncated_map_file_raises_a_user_error(tmp_path: Path) -> None:
    path = write_many(tmp_path / "some.h5", zernike_basis(4), 50)
    maps = open_maps(path)
    with h5py.File(path) as file:
        places = find_row_offsets(file["maps"])
    assert places is not None
    path.write_bytes(path.read_bytes()[: int(places.offsets[-1]) + 100])
    with pytest.raises(UserError, match="ends too early"):
        places.read(maps.rows())
    with pytest.raises(UserError, match="HDF5"):
        maps.read()


def test_ids_may_have_any_script(tmp_path: Path) -> None:
    path = tmp_path / "some.h5"
    basis, names = zernike_basis(4), ["a", "", "Größe", "形", "z" * 300]
    with MapWriter(path, basis, source="made-up", source_digest="0", classes=[], count=5, created_by="test") as writer:
        writer.append(np.zeros((5, *basis.shape), np.float32), names, [-1] * 5, ["test"] * 5)
    ids = open_maps(path).ids
    assert list(ids) == names
    assert ids == tuple(names) != ids[1:]
    assert (ids[-1], ids[1:3], ids.index("形"), "b" in ids) == (names[-1], tuple(names[1:3]), 3, False)
    with pytest.raises(IndexError):
        ids[5]


def test_an_export_on_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    data = write_many(tmp_path / "some.h5", zernike_basis(4), 2000)
    train(data, tmp_path / "run", max_minutes=1e-6)
    out, log = tmp_path / "features.h5", tmp_path / "log"
    out.write_bytes(b"the previous file")

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        run_command_line("export", "--run", str(tmp_path / "run"), "--out", str(out), "--overwrite")

    assert child(work, log) == 2, log.read_text()
    assert_one_line(log, "the features cannot be written")
    assert out.read_bytes() == b"the previous file"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_the_share_of_time_waiting_for_data_is_logged(tmp_path: Path) -> None:
    data = write_many(tmp_path / "some.h5", zernike_basis(4), 500)
    train(data, tmp_path / "run")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 8
    assert all(0 <= row["waiting"] <= 1 for row in rows)


@pytest.mark.slow
def test_a_million_small_maps(tmp_path: Path) -> None:
    data = write_many(tmp_path / "million.h5", zernike_basis(4), 1_000_000)
    begun = time.monotonic()
    train(data, tmp_path / "run", max_minutes=0.2)
    seconds = time.monotonic() - begun
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    # The metrics' time starts with training; before it the file is opened and its rows are found.
    other = seconds - rows[-1]["seconds"]
    print(f"{other:.1f} s before and after training, imports not counted; first step {rows[0]['seconds']:.1f} s later")
    assert rows[0]["step"] == 1
    assert len(rows) > 10
