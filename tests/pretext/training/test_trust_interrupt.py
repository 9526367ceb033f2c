"""An interrupted run says how to resume it, and resumes exactly."""

import os
import signal
from pathlib import Path

import pytest
from faults import Resume, assert_one_line, at_call, child
from method_cases import ONE_CASE, command, differences, run_command_line

from pretext.training import checkpoint
from pretext.training.batch_step import BatchStep
from spectral_ssl.ground.run_folder import read_status


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("where", ["in a step", "in a checkpoint"])
def test_an_interrupted_run_says_how_to_go_on(
    data: Path,
    whole: Path,
    resume_in_child: Resume,
    tmp_path: Path,
    number: int,
    status: int,
    where: str,
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def work() -> None:
        owner, name = (BatchStep, "step") if where == "in a step" else (checkpoint, "save_tensors")
        at_call(owner, name, 1, lambda *_: os.kill(os.getpid(), number))
        run_command_line(*command(ONE_CASE, data, run))

    assert child(work, log) == status, log.read_text()
    step = 1 if where == "in a step" else 4
    assert_one_line(log, f"stopped at step {step}", f"pretrain --resume {run}")
    assert (read_status(run)["state"], read_status(run)["step"]) == ("stopped", step)
    resume_in_child(run)
    assert differences(whole, run) == []


def test_a_second_interrupt_ends_at_once(data: Path, whole: Path, resume_in_child: Resume, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def twice(*_: object) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    def work() -> None:
        at_call(BatchStep, "step", 5, twice)
        run_command_line(*command(ONE_CASE, data, run))

    assert child(work, log) == 130, log.read_text()
    assert_one_line(log, "pretrain --resume")
    assert read_status(run)["state"] == "killed"
    resume_in_child(run)
    assert differences(whole, run) == []
