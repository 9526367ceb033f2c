"""A killed run is resumed as if it had not been killed: for every method."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faults import DAMAGES, FAULTS, OUTSIDE, Resume, assert_one_line, child, forked, wait_for, with_fault
from method_cases import (
    EPOCHS,
    MORE,
    ONE_CASE,
    STEPS,
    Case,
    cases,
    command,
    differences,
    resume,
    run_command_line,
    start,
)

import spectral_ssl
from pretext.methods.catalogue import METHODS
from pretext.training.checkpoint import load_checkpoint
from spectral_ssl.ground.run_folder import lock_run, read_status

CASES = cases()


# a case with other settings also covers the default settings on the same images
FEWER = [case for case in CASES if case.more or case.data == "clouds" or (case.method, case.data) not in MORE]


def test_every_method_is_covered() -> None:
    assert {case.method for case in FEWER} == set(METHODS)


@pytest.mark.parametrize("case", FEWER, ids=str)
def test_killed_twice_and_resumed_is_the_uninterrupted_run(data: Path, tmp_path: Path, case: Case) -> None:
    log, whole, parts = tmp_path / "log", tmp_path / "whole", tmp_path / "parts"
    assert child(lambda: start(case, data, whole), log) == 0, log.read_text()
    draw = random.Random(str(case))
    often = replace(case, checkpoint_each_step=True)
    inside = draw.choice([2, 3, 5, 6, 8, 9])  # of 3 steps an epoch: the checkpoint before it lies inside an epoch
    first = with_fault(case, "SIGKILL in a step", inside, lambda: start(often, data, parts))
    assert child(first, log) == -9, log.read_text()
    kind = draw.choice(list(FAULTS))
    second = with_fault(case, kind, 1, lambda: run_command_line("pretrain", "--resume", str(parts)))
    # the second fault may have no opportunity left: then the run ends well
    assert child(second, log) in (FAULTS[kind].status, 0), log.read_text()
    assert child(lambda: resume(case, data, parts), log) == 0, log.read_text()
    assert differences(whole, parts) == []
    assert "Traceback" not in log.read_text()


def note(case: Case, kind: str, *, struck: bool, wrong: list[str]) -> None:
    """Add a line to the results of ``make soak`` if its file is set."""
    if "SOAK_RESULTS" in os.environ:
        with Path(os.environ["SOAK_RESULTS"]).open("a", encoding="utf-8") as stream:
            row = {"method": case.method, "case": str(case), "fault": kind, "struck": struck, "wrong": wrong}
            stream.write(json.dumps(row) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_twenty_faults(data: Path, tmp_path: Path, case: Case) -> None:
    """Each fault strikes a run of its own; in every second run another fault strikes after it."""
    log, whole = tmp_path / "log", tmp_path / "whole"
    begun = time.monotonic()
    assert child(lambda: run_command_line(*command(case, data, whole)), log) == 0, log.read_text()
    seconds = time.monotonic() - begun
    draw = random.Random(f"soak {case}")
    kinds = [*FAULTS, *DAMAGES, OUTSIDE, OUTSIDE, "SIGKILL in a step", "SIGKILL in a step", OUTSIDE]
    draw.shuffle(kinds)
    for number in range(int(os.environ.get("SOAK_MOMENTS", 20))):
        run = tmp_path / f"run-{number}"

        def go(run: Path = run, often: bool = number % 4 < 2) -> None:
            if (run / "config.toml").exists():
                run_command_line("pretrain", "--resume", str(run))
            else:
                shutil.rmtree(run, ignore_errors=True)  # killed before anything was there
                run_command_line(*command(replace(case, checkpoint_each_step=True) if often else case, data, run))

        struck = strike(case, kinds[number % len(kinds)], go, run, log, draw, seconds)
        if number % 2:
            strike(case, draw.choice(list(FAULTS)), go, run, log, draw, seconds)
        status = child(go, log)
        wrong = [] if status == 0 else [f"exit status {status}"]
        wrong += differences(whole, run) if status == 0 else []
        wrong += ["traceback"] * ("Traceback" in log.read_text())
        note(case, kinds[number % len(kinds)], struck=struck, wrong=wrong)
        assert wrong == [], log.read_text()[-5000:]


def strike(
    case: Case, kind: str, go: Callable[[], None], run: Path, log: Path, draw: random.Random, seconds: float
) -> bool:
    """Start or resume a run until a fault ends it, and return whether the fault had its opportunity."""
    if kind == OUTSIDE:
        return child(go, log, seconds=draw.uniform(0, seconds)) == -signal.SIGKILL
    if kind in DAMAGES:
        late = with_fault(case, "SIGKILL in a step", draw.randint(7, STEPS), go)  # two checkpoints are there
        assert child(late, log) in (-signal.SIGKILL, 0), log.read_text()
        last = run / "checkpoints" / "last.pt"
        if not last.exists():
            return False
        DAMAGES[kind](last, draw)
        return True
    fault = FAULTS[kind]
    status = child(with_fault(case, kind, draw.randint(1, fault.opportunities), go), log)
    assert status in (fault.status, 0), log.read_text()
    return status == fault.status


def test_the_status_of_a_killed_run_is_not_running(data: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "runs" / "run", tmp_path / "log"
    assert child(with_fault(ONE_CASE, "SIGKILL in a step", 5, lambda: start(ONE_CASE, data, run)), log) == -9
    assert '"running"' in (run / "status.json").read_text()
    assert (read_status(run)["state"], read_status(run)["step"]) == ("killed", 3)
    listed = spectral_ssl.list_names("runs", workspace=tmp_path)["runs"]
    assert listed == {"run": f"{run} (killed, epoch 1)"}


def test_checkpoints_inside_an_epoch(data: Path, whole: Path, resume_in_child: Resume, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    case = replace(ONE_CASE, checkpoint_each_step=True)
    assert child(with_fault(case, "SIGKILL in a step", 5, lambda: start(case, data, run)), log) == -9
    assert load_checkpoint(run / "checkpoints" / "last.pt")["place"]["step"] == 4
    resume_in_child(run)
    assert differences(whole, run) == []


def test_runs_at_once_in_one_workspace(data: Path, tmp_path: Path) -> None:
    case = Case("lsc-gan", "images")  # the runs share an extractor, its features, and the neighbours in them
    extractor = Case("rotation-prediction", "images")
    log = tmp_path / "log"
    workspace = tmp_path / "workspace"
    assert child(lambda: start(extractor, data, workspace / "runs" / "extractor", epochs=0), log) == 0, log.read_text()

    def work() -> None:
        spectral_ssl.pretrain(
            data / "images.h5",
            method=case.method,
            features=workspace / "runs" / "extractor",
            epochs=EPOCHS,
            settings=case.settings,
        )

    processes = [forked(work, log) for _ in range(3)]
    assert [wait_for(process) for process in processes] == [0, 0, 0], log.read_text()
    runs = sorted(path for path in (workspace / "runs").iterdir() if path.name != "extractor")
    assert len(runs) == 3
    assert differences(runs[0], runs[1]) == differences(runs[0], runs[2]) == []


def test_a_run_is_resumed_by_one_process_at_a_time(data: Path, tmp_path: Path) -> None:
    run, log, mine = tmp_path / "run", tmp_path / "log", tmp_path / "mine"
    assert child(with_fault(ONE_CASE, "SIGKILL in a step", 5, lambda: start(ONE_CASE, data, run)), log) == -9
    with lock_run(run):
        assert read_status(run)["state"] == "running"
        assert child(lambda: run_command_line("pretrain", "--resume", str(run)), mine) == 2
    assert_one_line(mine, "another process is training in this run", str(run))
