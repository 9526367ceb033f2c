"""``doctor`` on this machine and on machines with something wrong."""

import collections
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from spectral_ssl.verbs.checks import doctor, self_test

OPENMP = [
    {"user_api": "openmp", "internal_api": "openmp", "version": None, "prefix": name, "filepath": "/x"}
    for name in ("libomp", "libiomp")
]
BREAK: dict[str, Callable[[pytest.MonkeyPatch], Any]] = {
    "disk": lambda patch: patch.setattr(shutil, "disk_usage", lambda _: collections.namedtuple("U", "free")(1000)),
    "memory": lambda patch: patch.setattr(doctor, "available_memory", lambda: 1 << 20),
    "transforms": lambda patch: patch.setattr(self_test, "zernike_orthonormality", lambda: 0.5),
    "training step": lambda patch: patch.setattr(self_test, "losses_of_training", lambda: [1.0, float("nan")]),
    "libraries": lambda patch: patch.setitem(sys.modules, "faiss", None),
    "packages": lambda patch: patch.setattr(doctor, "requires", lambda _: ["torch>=99", "no-such-package>=1"]),
    "OpenMP": lambda patch: patch.setattr("threadpoolctl.threadpool_info", lambda: OPENMP),
}


def _doctor(tmp_path: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return call("doctor", "--workspace", tmp_path / "ws", *options)


def test_all_is_well_here(tmp_path: Path) -> None:
    done = _doctor(tmp_path, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["well"] is True
    names = {finding["name"] for finding in result["findings"]}
    assert names >= {"python", "packages", "processors", "BLAS", "OpenMP", "disk", "memory", "embreex", "transforms"}
    assert result["environment"]["packages"]["torch"]
    assert not (tmp_path / "ws").exists()


def _check_failing(done: "subprocess.CompletedProcess[str]", names: set[str]) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    failing = [line for line in done.stdout.splitlines() if line.startswith("FAILS")]
    assert {line.removeprefix("FAILS ").partition(":")[0] for line in failing} == names
    assert len(failing) == len(names)
    assert all("; " in line for line in failing)  # what to do
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{len(names)} fail, in" in done.stdout.splitlines()[-1]


def test_what_is_wrong_is_a_line_each_and_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(BREAK) - {"libraries"}
    for name in names:
        BREAK[name](monkeypatch)
    _check_failing(_doctor(tmp_path), names)


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAK)
def test_one_thing_wrong_hides_nothing_else(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    BREAK[name](monkeypatch)
    _check_failing(_doctor(tmp_path), {name})


def test_a_workspace_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert doctor._disk(tmp_path)[0].state == "FAILS"


def test_openmp_runtimes() -> None:
    assert doctor.check_openmp(["libgomp"], 1, "", "linux").state == "ok"
    assert doctor.check_openmp([], 0, "", "linux").state == "ok"
    assert doctor.check_openmp(["libgomp"], 2, "", "linux").state == "note"
    assert doctor.check_openmp(["libomp"], 2, "", "darwin").do
    assert doctor.check_openmp(["libiomp", "libomp"], 2, "", "linux").state == "FAILS"


def test_the_self_test_notices_wrong_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert self_test.transforms()[0]
    for name in ("zernike_orthonormality", "harmonics_orthonormality", "moments_error"):
        with monkeypatch.context() as patch:
            value = getattr(self_test, name)()
            assert 0 < value < 1e-6
            patch.setattr(self_test, name, lambda: 1e-4)
            assert not self_test.transforms()[0]


def test_the_self_test_notices_a_training_that_does_not_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = self_test.losses_of_training()
    assert losses[-1] < losses[0]
    assert self_test.training()[0]
    monkeypatch.setattr(self_test, "losses_of_training", lambda: [1.0, 1.0])
    assert not self_test.training()[0]
