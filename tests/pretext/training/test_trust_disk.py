"""A run on a full disk stops with one line, loses nothing and can be resumed."""

import os
import resource
from pathlib import Path
from typing import Any

import pytest
from faults import Resume, assert_one_line, at_call, child, full_disk
from method_cases import ONE_CASE, command, differences, run_command_line, start

import pretext.training.trainer
from pretext.training import checkpoint
from spectral_ssl.ground.run_folder import read_status


def no_room(number: int, where: str) -> None:
    """Let the disk be full at the n-th sync, or in the middle of the n-th row or of a checkpoint."""

    def full_row(path: Path, row: object) -> None:
        with path.open("a") as stream:
            stream.write('{"epoch": 1, "st')
        full_disk()

    if where == "sync":
        at_call(os, "fsync", number, full_disk)
    elif where == "row":
        at_call(pretext.training.trainer, "append_metrics", number, full_row)
    else:
        original, calls = checkpoint._Recorder.__init__, 0

        class Full:
            def __init__(self, stream: Any) -> None:
                self.stream, self.flush = stream, stream.flush

            def write(self, part: Any) -> Any:
                nonlocal calls
                calls += 1
                return full_disk() if calls >= number else self.stream.write(part)

        def begin(self: Any, stream: Any) -> None:
            original(self, Full(stream))

        checkpoint._Recorder.__init__ = begin  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("where", "number"),
    [("sync", number) for number in (1, 3, 5, 6, 8, 9, 11)] + [("row", 2), ("row", 5), ("write", 3), ("write", 700)],
)
def test_a_full_disk_loses_nothing(
    data: Path, whole: Path, resume_in_child: Resume, tmp_path: Path, where: str, number: int
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def work() -> None:
        no_room(number, where)
        run_command_line(*command(ONE_CASE, data, run))

    assert child(work, log) == 2, log.read_text()
    assert_one_line(log, "No space left on device")
    if run.exists():
        assert read_status(run)["state"] != "running"
        resume_in_child(run)
    else:
        assert child(lambda: start(ONE_CASE, data, run), log) == 0
    assert differences(whole, run) == []


def test_a_file_system_with_small_files_only(data: Path, whole: Path, resume_in_child: Resume, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    size = (whole / "checkpoints" / "last.pt").stat().st_size

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        run_command_line(*command(ONE_CASE, data, run))

    assert child(work, log) == 2, log.read_text()
    assert_one_line(log, "cannot write the checkpoint", "File too large", "--resume")
    resume_in_child(run)
    assert differences(whole, run) == []
