"""What others do to a run folder, the disk and the memory: nothing is half made, and the user reads one line."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pretext.runs.folder
import pretext.training.trainer
import spectral_ssl
from data_prep.maps.reader import MapFile
from pretext.runs.plan import Plan
from spectral_ssl.cli.app import main
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.run_folder import is_locked, lock_run


def test_a_run_that_starts_is_locked_before_it_can_be_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_maps: MapFile
) -> None:
    seen = []
    describe = pretext.runs.folder.describe_run

    def look(folder: Path, plan: Plan) -> None:
        assert not (folder / "config.toml").exists()
        seen.append(is_locked(folder))
        describe(folder, plan)

    monkeypatch.setattr(pretext.runs.folder, "describe_run", look)
    settings = ("width=2", "code=8")
    spectral_ssl.pretrain(random_maps.path, method="regression", epochs=0, settings=settings, out=tmp_path / "run")
    assert seen == [True]
    assert not is_locked(tmp_path / "run")


def test_a_disk_that_cannot_be_written_does_not_make_a_run_look_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, open_file = tmp_path, os.open
    with lock_run(run):
        pass

    def refuse(path: Any, flags: int, *words: Any, **options: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, *words, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert not is_locked(run)
    monkeypatch.undo()
    with lock_run(run):
        monkeypatch.setattr(os, "open", refuse)
        assert is_locked(run)
        monkeypatch.undo()


@pytest.mark.parametrize("moment", ["append_metrics", "save_checkpoint", "sync_metrics", "write_status"])
def test_a_run_folder_that_was_removed_is_not_half_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_maps: MapFile, moment: str
) -> None:
    folder, calls = tmp_path / "run", []
    act = getattr(pretext.training.trainer, moment)

    def removed_first(*words: Any, **options: Any) -> Any:
        calls.append(moment)
        if len(calls) == 2 or moment in ("sync_metrics", "save_checkpoint"):
            shutil.rmtree(folder)
        return act(*words, **options)

    monkeypatch.setattr(pretext.training.trainer, moment, removed_first)
    settings = ("width=2", "code=8", "train.log_every=1")
    with pytest.raises(UserError, match="the run folder is gone"):
        spectral_ssl.pretrain(random_maps.path, method="regression", epochs=2, settings=settings, out=folder)
    assert not folder.exists()


def test_an_error_of_the_system_names_the_path_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write() -> None:
        with atomic_path(tmp_path / "report.html"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a full disk does, without a name

    monkeypatch.setattr("spectral_ssl.cli.app.app", lambda **_: write())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    line = " ".join(capsys.readouterr().err.split())
    assert line == (
        f"spectral-ssl: No space left on device: got {tmp_path / 'report.html'}; free disk space and repeat the command"
    )


@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_lack_of_memory_is_one_line(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def allocate() -> Any:
        return torch.empty(1 << 60, dtype=torch.uint8) if kind == "torch" else np.ones(1 << 59)

    monkeypatch.setattr("spectral_ssl.cli.app.app", lambda **_: allocate())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = " ".join(capsys.readouterr().err.split())
    assert lines.startswith("spectral-ssl: not enough memory: got ")
    assert "train.batch_size" in lines


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr("spectral_ssl.cli.app.app", lambda **_: fail())
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        main()
