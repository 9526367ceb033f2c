"""Damaged files for the readers: each is read or refused with a reason, without a crash, a hang or unlimited memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("fuzz_readers.py")


def _fuzz(folder: Path, first: int, count: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM), str(folder), str(first), str(count)],
        capture_output=True,
        text=True,
        timeout=60 + count,
    )
    lines = done.stdout.splitlines() or ["nothing"]
    # A negative status is the signal that ended the program: 14 is the alarm after five seconds, 11 a crash
    assert done.returncode == 0, f"status {done.returncode} after {lines[-1]}\n{done.stderr[-3000:]}"
    return dict(json.loads(lines[-1]))


def _check(outcomes: dict[str, int], count: int) -> None:
    assert outcomes["read"] + outcomes["refused"] == count
    # Mutations that damage all files, or none, would test little of the readers.
    assert 0.1 < outcomes["read"] / count < 0.6
    assert outcomes["peak_mib"] < 1024


def test_some_mutated_files(tmp_path: Path) -> None:
    _check(_fuzz(tmp_path, 0, 300), 300)


@pytest.mark.slow
def test_ten_thousand_mutated_files(tmp_path: Path) -> None:
    _check(_fuzz(tmp_path, 1_000, 10_000), 10_000)
