"""A full or read-only disk: one line for the user, and an existing file stays."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command_line import call

from data_prep.pipeline.work_folder import get_work_folder

# 720 maps of 1 kB: 1.2 MB are reserved for the file, and the shards come to 0.6 MB
PREP = ("prep", "--workers", "0", "--degree", "6", "--points", "64", "--overwrite")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write 720 clouds, whose preparation is mostly writing."""
    folder = tmp_path_factory.mktemp("clouds")
    for seed in range(720):
        np.save(folder / f"{seed:03d}.npy", np.random.default_rng(seed).normal(size=(64, 3)).astype(np.float32))
    return f"folder:{folder}"


def _mount(folder: Path, options: str) -> bool:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Make a disk with space for the file and half of the shards."""
    folder = tmp_path / "disk"
    if not _mount(folder, "size=1600k"):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _one_line(done: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("spectral-ssl:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert all(part in lines[0] for part in parts), lines[0]


def test_a_small_disk_is_detected_before_the_work(small_disk: Path, clouds: str) -> None:
    out = small_disk / "a.h5"
    (small_disk / "others").write_bytes(bytes(1 << 20))
    done = call(*PREP, "--dataset", clouds, "--out", out)
    _one_line(done, "cannot be written", str(out), "No space left")
    assert "prep:" not in done.stderr.replace("spectral-ssl prep:", "")  # no progress was made
    assert [path.name for path in small_disk.iterdir()] == ["others"]


def test_full_disk(small_disk: Path, clouds: str) -> None:
    """A process, so that nothing is said at its very end either."""
    out = small_disk / "a.h5"
    out.write_bytes(b"the previous file")
    command = [sys.executable, "-m", "spectral_ssl", *PREP, "--dataset", clouds, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    _one_line(done, "cannot be written", str(out), "No space left", "make room")
    assert out.read_bytes() == b"the previous file"
    # With free space the same command resumes.
    assert any(get_work_folder(out).glob("*.shard"))
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    again = call(*PREP, "--dataset", clouds, "--out", out)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in small_disk.iterdir()] == ["a.h5"]


@contextmanager
def _limited_files(kibibytes: int) -> Iterator[None]:
    """Let no file grow beyond this size."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kibibytes << 10, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("kibibytes", [16, 300])  # in the first shard, and when shards fit but the file does not
def test_limited_file_size(tmp_path: Path, clouds: str, kibibytes: int) -> None:
    out = tmp_path / "a.h5"
    out.write_bytes(b"the previous file")
    command = (*PREP, "--dataset", clouds, "--out", out)
    with _limited_files(kibibytes):
        done = call(*command)
    _one_line(done, "cannot be written", str(out), "too large")
    assert out.read_bytes() == b"the previous file"
    assert call(*command).returncode == 0


def test_read_only_disk(small_disk: Path, clouds: str) -> None:
    out = small_disk / "a.h5"
    out.write_bytes(b"the previous file")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = call(*PREP, "--dataset", clouds, "--out", out)
    _one_line(done, "cannot write there", str(out), "Read-only", "--out")
    assert out.read_bytes() == b"the previous file"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path, clouds: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = call(*PREP, "--dataset", clouds, "--out", tmp_path / "locked" / "a.h5")
    _one_line(done, "cannot write there", "--out")
