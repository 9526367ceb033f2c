"""How batches reach the training changes nothing: made ahead in a thread, or read from the disk when needed."""

import time
from pathlib import Path
from typing import Any

import pytest
from faults import child
from method_cases import ONE_CASE, Case, differences, start

import pretext.data.training_split
import pretext.training.trainer
from pretext.training.prefetch import Feeder
from spectral_ssl.ground.errors import UserError


def test_a_batch_made_ahead_changes_nothing(data: Path, whole: Path, tmp_path: Path) -> None:
    class Serial(pretext.training.trainer.Feeder):  # type: ignore[type-arg]
        def _make_ahead(self, make: Any, work: Any) -> Any:
            (tmp_path / "serial").touch()
            return (make(piece) for piece in work)

    def work() -> None:
        pretext.training.trainer.Feeder = Serial  # type: ignore[misc]
        start(ONE_CASE, data, tmp_path / "run")

    assert child(work, tmp_path / "log") == 0
    assert (tmp_path / "serial").exists()
    assert differences(whole, tmp_path / "run") == []


@pytest.mark.parametrize("case", [ONE_CASE, Case("joint-embedding", "clouds"), Case("lsc-gan", "images")], ids=str)
def test_maps_read_as_they_are_needed_train_as_maps_held_in_memory(data: Path, tmp_path: Path, case: Case) -> None:
    def streamed() -> None:
        pretext.data.training_split.LARGEST_IN_MEMORY = 0
        start(case, data, tmp_path / "streamed")

    assert child(lambda: start(case, data, tmp_path / "held"), tmp_path / "log") == 0
    assert child(streamed, tmp_path / "log") == 0
    assert differences(tmp_path / "held", tmp_path / "streamed") == []


def test_a_failure_while_making_a_batch_is_raised_where_the_batch_is_taken() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise UserError("no batch", number, "give another")
        time.sleep(0.02)
        return number

    with Feeder(make, range(5)) as feeder:
        assert [next(feeder), next(feeder)] == [0, 1]
        with pytest.raises(UserError, match="no batch"):
            next(feeder)
    assert feeder.waited > 0.01
