"""A damaged checkpoint or a loss that is not finite: a run never continues from wrong numbers."""

import random
import shutil
from pathlib import Path

import pytest
import torch
from faults import Resume, assert_one_line, child
from method_cases import Case, cases, command, differences, run_command_line

from pretext.data.batch import Batch, Example
from pretext.methods.catalogue import METHODS
from pretext.runs.plan import Plan
from pretext.training.checkpoint import content_digest, load_checkpoint
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_status

CASES = cases()


def spoil(number: int, sample: int) -> None:
    """Set one sample of the n-th corrupted batch to NaN."""
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
        run_command_line(*command(case, data, run))

    assert child(work, log) == 2, log.read_text()
    failed = torch.load(run / "failed-batch.pt", weights_only=True)
    assert failed["step"] in (4, 5)  # methods with completions corrupt one batch more, for the monitored error
    assert_one_line(log, "not finite", str(run / "failed-batch.pt"), f"step {failed['step']}", failed["ids"][2])
    assert torch.isnan(failed["target"][2]).all()
    assert load_checkpoint(run / "checkpoints" / "last.pt")["place"]["step"] == 3
    assert read_status(run)["state"] == "failed"


@pytest.mark.parametrize("number", [1, 2])  # the first checkpoint has none before it
@pytest.mark.parametrize("damage", ["empty", "half", "bit", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(
    data: Path, whole: Path, resume_in_child: Resume, tmp_path: Path, damage: str, number: int
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
        resume_in_child(run)
        assert log.read_text().count("using the previous one") == 1
        assert differences(whole, run) == []
        assert (run / "checkpoints" / "damaged.pt").exists() == (damage != "missing")
        assert load_checkpoint(run / "checkpoints" / "previous.pt")["place"]["step"] == 6
    elif damage != "missing":
        assert child(lambda: run_command_line("pretrain", "--resume", str(run)), log) == 2
        assert_one_line(log, "both checkpoints are damaged", "last.pt", "previous.pt", "config.toml")
    else:  # without any checkpoint it starts again
        resume_in_child(run)
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
            loaded = load_checkpoint(tmp_path / "last.pt")
        except UserError:
            noticed += 1
        else:  # in bytes between the entries of the archive, which hold nothing
            assert content_digest(loaded) == content_digest(sound)
    assert noticed > 40
