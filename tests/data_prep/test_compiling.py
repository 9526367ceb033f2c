"""The kernel is compiled once on a machine, and a log line tells the user."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep import compiling
from data_prep.transforms import moment_sums as moments

PREPARE = """
from pathlib import Path
from data_prep.basis import zernike_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.sources.catalogue import open_source
prepare_maps(open_source("shapes"), zernike_basis(4, points=32), Path("maps.h5"), workers=2, overwrite=True)
"""


def test_compiled_code_is_recognised_and_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(moments, "_ready", set())
    assert not moments.is_compiled()
    moments.precompile()
    assert moments.is_compiled()
    assert not moments.is_compiled(np.float64)
    monkeypatch.setattr(moments, "_ready", set())  # This is the state of another process.
    assert moments.is_compiled()
    monkeypatch.setattr(compiling, "_hold_lock", lambda: pytest.fail("waited for the lock"))
    moments.precompile()
    # Another folder for compiled code is still empty.
    monkeypatch.setattr(moments, "_ready", set())
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "other"))
    assert not moments.is_compiled()


@pytest.mark.slow
def test_two_workers_compile_once_and_log_it(tmp_path: Path) -> None:
    empty = {"NUMBA_CACHE_DIR": str(tmp_path / "compiled"), "TMPDIR": str(tmp_path), "NUMBA_DEBUG_CACHE": "1"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", PREPARE],
            cwd=tmp_path,
            env={**os.environ, **empty},
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    saved = [run.stdout.count("[cache] data saved to") for run in runs]
    announcements = [run.stderr.count("compiling the moment kernel") for run in runs]
    assert saved[0] == len(list((tmp_path / "compiled").rglob("*.nbc")))  # each function of the kernel once
    assert saved[1] == 0
    assert announcements == [1, 0]
