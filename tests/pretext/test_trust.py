"""A run that is killed, torn, interrupted or starved of disk goes on as if nothing had been: for every method."""

import errno
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults
import pytest
import torch
from faults import (
    DAMAGES,
    EPOCHS,
    FAULTS,
    OUTSIDE,
    STEPS,
    Case,
    at_call,
    cases,
    child,
    command,
    differences,
    ended,
    forked,
    go_on,
    start,
    typed,
    with_checkpoints_inside_epochs,
    with_fault,
)

import pretext.data.training_split
import pretext.training.trainer
import spectral_ssl
from pretext.data.batch import Batch, Example
from pretext.methods.catalogue import METHODS
from pretext.runs.plan import Plan
from pretext.training import checkpoint
from pretext.training.batch_step import BatchStep
from pretext.training.checkpoint import content_digest, load_checkpoint
from pretext.training.prefetch import Feeder
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import lock_run, read_status

CASES = cases()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.write_data(tmp_path_factory.mktemp("data"))


def test_every_method_is_covered() -> None:
    assert {case.method for case in CASES} == set(METHODS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_twice_and_resumed_is_the_uninterrupted_run(data: Path, tmp_path: Path, case: Case) -> None:
    log, whole, parts = tmp_path / "log", tmp_path / "whole", tmp_path / "parts"
    assert child(lambda: start(case, data, whole), log) == 0, log.read_text()
    draw = random.Random(str(case))
    often = with_checkpoints_inside_epochs(case)
    inside = draw.choice([2, 3, 5, 6, 8, 9])  # of 3 steps an epoch: the checkpoint before it lies inside an epoch
    first = with_fault(case, "SIGKILL in a step", inside, lambda: start(often, data, parts))
    assert child(first, log) == -9, log.read_text()
    kind = draw.choice(list(FAULTS))
    second = with_fault(case, kind, 1, lambda: typed("pretrain", "--resume", str(parts)))
    # not every fault has an opportunity left
    assert child(second, log) in (FAULTS[kind].status, 0), log.read_text()
    assert child(lambda: go_on(case, data, parts), log) == 0, log.read_text()
    assert differences(whole, parts) == []
    assert "Traceback" not in log.read_text()


def note(case: Case, kind: str, *, struck: bool, found: list[str]) -> None:
    """Add a line to the results of ``make soak``, if they are wanted."""
    if "SOAK_RESULTS" in os.environ:
        with Path(os.environ["SOAK_RESULTS"]).open("a", encoding="utf-8") as stream:
            row = {"method": case.method, "case": str(case), "fault": kind, "struck": struck, "wrong": found}
            stream.write(json.dumps(row) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_twenty_faults(data: Path, tmp_path: Path, case: Case) -> None:
    """Each of them in a run of its own, on top of a fault before it in every second run."""
    log, whole = tmp_path / "log", tmp_path / "whole"
    begun = time.monotonic()
    assert child(lambda: typed(*command(case, data, whole)), log) == 0, log.read_text()
    seconds = time.monotonic() - begun
    draw = random.Random(f"soak {case}")
    kinds = [*FAULTS, *DAMAGES, OUTSIDE, OUTSIDE, "SIGKILL in a step", "SIGKILL in a step", OUTSIDE]
    draw.shuffle(kinds)
    for number in range(int(os.environ.get("SOAK_MOMENTS", 20))):
        run = tmp_path / f"run-{number}"

        def go(run: Path = run, often: bool = number % 4 < 2) -> None:
            if (run / "config.toml").exists():
                typed("pretrain", "--resume", str(run))
            else:
                shutil.rmtree(run, ignore_errors=True)  # killed before anything was there
                typed(*command(with_checkpoints_inside_epochs(case) if often else case, data, run))

        struck = strike(case, kinds[number % len(kinds)], go, run, log, draw, seconds)
        if number % 2:
            strike(case, draw.choice(list(FAULTS)), go, run, log, draw, seconds)
        status = child(go, log)
        found = [] if status == 0 else [f"exit status {status}"]
        found += differences(whole, run) if status == 0 else []
        found += ["traceback"] * ("Traceback" in log.read_text())
        note(case, kinds[number % len(kinds)], struck=struck, found=found)
        assert found == [], log.read_text()[-5000:]


def strike(
    case: Case, kind: str, go: Callable[[], None], run: Path, log: Path, draw: random.Random, seconds: float
) -> bool:
    """Begin or go on with a run until a fault ends it; whether the fault had its opportunity."""
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


CASE = Case("cgml", "clouds")


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of one method."""
    folder = tmp_path_factory.mktemp("whole")
    assert child(lambda: start(CASE, data, folder / "run"), folder / "log") == 0, (folder / "log").read_text()
    return folder / "run"


def one_line(log: Path, *parts: str) -> None:
    """What a user's mistake or a machine's failure says: one line, with these parts, and no traceback."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("spectral-ssl:")]
    assert len(lines) == 1, log.read_text()
    assert all(part in lines[0] for part in parts), lines[0]
    assert "Traceback" not in log.read_text()


def resumed(data: Path, run: Path, log: Path) -> None:
    assert child(lambda: go_on(CASE, data, run), log) == 0, log.read_text()


def spoil(number: int, sample: int) -> None:
    """Make one sample of the n-th batch that is corrupted NaN."""
    original, calls = Plan.corrupt, 0

    def corrupt(self: Plan, batch: Batch, generator: torch.Generator) -> Example:
        nonlocal calls
        example = original(self, batch, generator)
        calls += 1
        if calls == number:
            example.target[sample] = torch.nan
        return example

    Plan.corrupt = corrupt  # type: ignore[method-assign]


@pytest.mark.parametrize("case", [next(case for case in CASES if case.method == name) for name in METHODS], ids=str)
def test_a_loss_that_is_not_finite(data: Path, tmp_path: Path, case: Case) -> None:
    log, run = tmp_path / "log", tmp_path / "run"

    def work() -> None:
        spoil(6, sample=2)
        typed(*command(case, data, run))

    assert child(work, log) == 2, log.read_text()
    failed = torch.load(run / "failed-batch.pt", weights_only=True)
    assert failed["step"] in (4, 5)  # methods with answers corrupt one batch more, to watch them
    one_line(log, "not finite", str(run / "failed-batch.pt"), f"step {failed['step']}", failed["ids"][2])
    assert torch.isnan(failed["target"][2]).all()
    assert load_checkpoint(run / "checkpoints" / "last.pt")["place"]["step"] == 3
    assert read_status(run)["state"] == "failed"


@pytest.mark.parametrize("number", [1, 2])  # the first checkpoint has none before it
@pytest.mark.parametrize("damage", ["empty", "half", "bit", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(
    data: Path, whole: Path, tmp_path: Path, damage: str, number: int
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(whole, run)
    for name in ("last.pt", "previous.pt")[:number]:
        path = run / "checkpoints" / name
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 4
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "bit": content}[damage])
    if number == 1:
        resumed(data, run, log)
        assert log.read_text().count("using the previous one") == 1
        assert differences(whole, run) == []
        assert (run / "checkpoints" / "damaged.pt").exists() == (damage != "missing")
        assert load_checkpoint(run / "checkpoints" / "previous.pt")["place"]["step"] == 6
    elif damage != "missing":
        assert child(lambda: typed("pretrain", "--resume", str(run)), log) == 2
        one_line(log, "both checkpoints are damaged", "last.pt", "previous.pt", "config.toml")
    else:  # neither is there: from the start
        resumed(data, run, log)
        assert differences(whole, run) == []


def test_no_turned_bit_goes_unnoticed(whole: Path, tmp_path: Path) -> None:
    path = whole / "checkpoints" / "last.pt"
    sound, content = load_checkpoint(path), path.read_bytes()
    draw = random.Random(0)
    noticed = 0
    for _ in range(60):
        turned = bytearray(content)
        turned[draw.randrange(len(turned))] ^= 1 << draw.randrange(8)
        (tmp_path / "last.pt").write_bytes(turned)
        try:
            found = load_checkpoint(tmp_path / "last.pt")
        except UserError:
            noticed += 1
        else:  # in bytes between the entries of the archive, which hold nothing
            assert content_digest(found) == content_digest(sound)
    assert noticed > 40


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("where", ["in a step", "in a checkpoint"])
def test_an_interrupted_run_says_how_to_go_on(
    data: Path, whole: Path, tmp_path: Path, number: int, status: int, where: str
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def work() -> None:
        owner, name = (BatchStep, "step") if where == "in a step" else (checkpoint, "save_tensors")
        at_call(owner, name, 1, lambda *_: os.kill(os.getpid(), number))
        typed(*command(CASE, data, run))

    assert child(work, log) == status, log.read_text()
    step = 1 if where == "in a step" else 4
    one_line(log, f"stopped at step {step}", f"pretrain --resume {run}")
    assert (read_status(run)["state"], read_status(run)["step"]) == ("stopped", step)
    resumed(data, run, log)
    assert differences(whole, run) == []


def test_a_second_interrupt_ends_at_once(data: Path, whole: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def twice(*_: object) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    def work() -> None:
        at_call(BatchStep, "step", 5, twice)
        typed(*command(CASE, data, run))

    assert child(work, log) == 130, log.read_text()
    one_line(log, "pretrain --resume")
    assert read_status(run)["state"] == "killed"
    resumed(data, run, log)
    assert differences(whole, run) == []


def test_the_status_of_a_killed_run_is_not_running(data: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "runs" / "run", tmp_path / "log"
    assert child(with_fault(CASE, "SIGKILL in a step", 5, lambda: start(CASE, data, run)), log) == -9
    assert '"running"' in (run / "status.json").read_text()
    assert (read_status(run)["state"], read_status(run)["step"]) == ("killed", 3)
    listed = spectral_ssl.list_names("runs", workspace=tmp_path)["runs"]
    assert listed == {"run": f"{run} (killed, epoch 1)"}


def no_room(number: int, where: str) -> None:
    """A disk that is full from the n-th sync, or in the middle of the n-th row or checkpoint, on."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def full_row(path: Path, row: object) -> None:
        with path.open("a") as stream:
            stream.write('{"epoch": 1, "st')
        full()

    if where == "sync":
        at_call(os, "fsync", number, full)
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
                return full() if calls >= number else self.stream.write(part)

        def begin(self: Any, stream: Any) -> None:
            original(self, Full(stream))

        checkpoint._Recorder.__init__ = begin  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("where", "number"),
    [("sync", number) for number in (1, 3, 5, 6, 8, 9, 11)] + [("row", 2), ("row", 5), ("write", 3), ("write", 700)],
)
def test_a_full_disk_loses_nothing(data: Path, whole: Path, tmp_path: Path, where: str, number: int) -> None:
    run, log = tmp_path / "run", tmp_path / "log"

    def work() -> None:
        no_room(number, where)
        typed(*command(CASE, data, run))

    assert child(work, log) == 2, log.read_text()
    one_line(log, "No space left on device")
    if run.exists():
        assert read_status(run)["state"] != "running"
        resumed(data, run, log)
    else:
        assert child(lambda: start(CASE, data, run), log) == 0
    assert differences(whole, run) == []


def test_a_file_system_with_small_files_only(data: Path, whole: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    size = (whole / "checkpoints" / "last.pt").stat().st_size

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        typed(*command(CASE, data, run))

    assert child(work, log) == 2, log.read_text()
    one_line(log, "cannot write the checkpoint", "File too large", "--resume")
    resumed(data, run, log)
    assert differences(whole, run) == []


def test_runs_at_once_in_one_workspace(data: Path, tmp_path: Path) -> None:
    case = Case("lsc-gan", "pictures")  # the runs share an extractor, its features, and the neighbours in them
    extractor = Case("rotation-prediction", "pictures")
    log = tmp_path / "log"
    place = tmp_path / "workspace"
    assert child(lambda: start(extractor, data, place / "runs" / "extractor", epochs=0), log) == 0, log.read_text()

    def work() -> None:
        spectral_ssl.pretrain(
            data / "pictures.h5",
            method=case.method,
            features=place / "runs" / "extractor",
            epochs=EPOCHS,
            settings=case.settings,
        )

    processes = [forked(work, log) for _ in range(3)]
    assert [ended(process) for process in processes] == [0, 0, 0], log.read_text()
    runs = sorted(path for path in (place / "runs").iterdir() if path.name != "extractor")
    assert len(runs) == 3
    assert differences(runs[0], runs[1]) == differences(runs[0], runs[2]) == []


def test_a_run_is_resumed_by_one_process_at_a_time(data: Path, tmp_path: Path) -> None:
    run, log, mine = tmp_path / "run", tmp_path / "log", tmp_path / "mine"
    assert child(with_fault(CASE, "SIGKILL in a step", 5, lambda: start(CASE, data, run)), log) == -9
    with lock_run(run):
        assert read_status(run)["state"] == "running"
        assert child(lambda: typed("pretrain", "--resume", str(run)), mine) == 2
    one_line(mine, "another process is training in this run", str(run))


def test_a_batch_made_ahead_changes_nothing(data: Path, whole: Path, tmp_path: Path) -> None:
    class Serial(pretext.training.trainer.Feeder):  # type: ignore[type-arg]
        def _ahead(self, make: Any, work: Any) -> Any:
            return (make(piece) for piece in work)

    def work() -> None:
        pretext.training.trainer.Feeder = Serial  # type: ignore[misc]
        start(CASE, data, tmp_path / "run")

    assert child(work, tmp_path / "log") == 0
    assert differences(whole, tmp_path / "run") == []


@pytest.mark.parametrize("case", [CASE, Case("joint-embedding", "clouds"), Case("lsc-gan", "pictures")], ids=str)
def test_maps_read_as_they_are_needed_train_as_maps_held_in_memory(data: Path, tmp_path: Path, case: Case) -> None:
    def streamed() -> None:
        pretext.data.training_split.LARGEST_IN_MEMORY = 0
        start(case, data, tmp_path / "streamed")

    assert child(lambda: start(case, data, tmp_path / "held"), tmp_path / "log") == 0
    assert child(streamed, tmp_path / "log") == 0
    assert differences(tmp_path / "held", tmp_path / "streamed") == []


def test_checkpoints_inside_an_epoch(data: Path, whole: Path, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    case = with_checkpoints_inside_epochs(CASE)
    assert child(with_fault(case, "SIGKILL in a step", 5, lambda: start(case, data, run)), log) == -9
    assert load_checkpoint(run / "checkpoints" / "last.pt")["place"]["step"] == 4
    resumed(data, run, log)
    assert differences(whole, run) == []


def test_a_failure_while_making_a_batch_is_said_where_the_batch_is_wanted() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise UserError("no batch", number, "give another")
        return number

    with Feeder(make, range(5)) as feeder:
        assert [next(feeder), next(feeder)] == [0, 1]
        with pytest.raises(UserError, match="no batch"):
            next(feeder)
    assert feeder.waited >= 0
