"""Which samples are scored: the data set's own split or all, and what is refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data_prep.basis import pixel_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from downstream.probes.protocol.splits import describe_imbalance, describe_pretraining, plan_evaluation
from spectral_ssl.ground.errors import UserError

BASIS = pixel_basis(1, 2, 2)


def write(
    path: Path, labels: Sequence[int], splits: Sequence[str] | str = "train", *, equal: Sequence[int] = ()
) -> MapFile:
    """Write different maps with these labels; the rows in ``equal`` get the same map."""
    count = len(labels)
    maps = np.random.default_rng(0).uniform(-1, 1, (count, *BASIS.shape)).astype(np.float32)
    maps[list(equal)] = 0.5
    names = [splits] * count if isinstance(splits, str) else list(splits)
    with MapWriter(
        path, BASIS, source="made-up", source_digest="0", classes=("a", "b", "c"), count=count, created_by="test"
    ) as writer:
        writer.append(maps, [f"object-{row}" for row in range(count)], list(labels), names)
    return open_maps(path)


def test_folds_hold_every_labelled_sample_once_in_each_repeat(tmp_path: Path) -> None:
    labels = [0] * 10 + [1] * 15 + [-1] * 4
    evaluation = plan_evaluation(write(tmp_path / "maps.h5", labels))
    assert (evaluation.folds, evaluation.seeds, evaluation.train) == (5, (0, 1, 2, 3, 4), 20)
    assert evaluation.scored.tolist() == list(range(25))
    for splits in evaluation.rounds:
        assert np.sort(np.concatenate([split.test for split in splits])).tolist() == list(range(25))
        for split in splits:
            assert sorted([*split.train, *split.test]) == list(range(25))
            assert evaluation.scored[split.positions].tolist() == split.test.tolist()
            assert np.bincount(split.labels).tolist() == [8, 12]  # stratified
    first, second = (sorted(split.test.tolist() for split in splits) for splits in evaluation.rounds[:2])
    assert first != second


@pytest.mark.parametrize(
    ("train", "test", "choice", "folds", "repeats"),
    [
        (400, 99, "auto", 5, 3),  # fewer than 500 labelled samples
        (400, 100, "auto", 0, 3),
        (400, 99, "own", 0, 3),
        (400, 100, "cross-validation", 5, 3),
        (22, 8, "auto", 5, 5),
        (700, 0, "auto", 5, 2),  # no split
        (1600, 0, "auto", 5, 1),
    ],
)
def test_the_own_split_is_taken_if_it_is_large(
    train: int, test: int, choice: str, folds: int, repeats: int, tmp_path: Path
) -> None:
    count = train + test
    maps = write(tmp_path / "maps.h5", [row % 2 for row in range(count)], ["train"] * train + ["test"] * test)
    evaluation = plan_evaluation(maps, choice)  # type: ignore[arg-type]
    assert (evaluation.folds, len(evaluation.seeds)) == (folds, repeats)
    assert len(evaluation.scored) == (count if folds else test)
    assert len(plan_evaluation(maps, choice, 4).rounds) == 4  # type: ignore[arg-type]


def test_a_rare_class_lowers_the_number_of_folds_or_leaves_the_own_split(tmp_path: Path) -> None:
    assert plan_evaluation(write(tmp_path / "three.h5", [0] * 9 + [1] * 3)).folds == 3
    maps = write(tmp_path / "two.h5", [0] * 9 + [1] * 2 + [0] * 4, ["train"] * 11 + ["test"] * 4)
    evaluation = plan_evaluation(maps)
    assert evaluation.folds == 0
    assert evaluation.origin == "the data set's own; too few to cross-validate: class 'b' with 2"
    with pytest.raises(UserError, match="too few labels to cross-validate: got class 'b' with 2"):
        plan_evaluation(maps, "cross-validation")


def test_equal_maps_are_in_one_fold(tmp_path: Path) -> None:
    equal = (0, 2, 4, 6)
    evaluation = plan_evaluation(write(tmp_path / "maps.h5", [0, 1] * 10, equal=equal))
    assert "3 repeated maps are in the fold of their equals" in evaluation.origin
    for splits in evaluation.rounds:
        assert sorted(np.isin(equal, split.test).sum() for split in splits)[-2:] == [0, 4]
    maps = write(tmp_path / "all.h5", [0] * 9 + [1] * 9, equal=range(9))
    with pytest.raises(UserError, match="too few different maps to cross-validate: got class 'a', whose maps are eq"):
        plan_evaluation(maps)


def test_copies_of_training_maps_in_the_own_test_split_are_counted(tmp_path: Path) -> None:
    splits = ["train"] * 12 + ["test"] * 8
    maps = write(tmp_path / "copies.h5", [0, 1] * 10, splits, equal=(3, 12, 13, 19))
    origin = plan_evaluation(maps, "own").origin
    assert origin == "the data set's own; 3 of 8 test maps are in the training split too"
    among_test = write(tmp_path / "test.h5", [0, 1] * 10, splits, equal=(12, 13, 19))
    assert plan_evaluation(among_test, "own").origin == "the data set's own"


def test_cross_validation_is_advised_only_where_it_is_possible(tmp_path: Path) -> None:
    line = "got {} test samples of 'c'; "
    for count, advice in ((2, "give training samples of this class, or leave it out"), (3, "give --split cross-v")):
        maps = write(tmp_path / f"{count}.h5", [0, 1] * 4 + [2] * count, ["train"] * 8 + ["test"] * count)
        with pytest.raises(UserError, match=line.format(count) + advice):
            plan_evaluation(maps, "own")


def test_what_pretraining_saw_is_counted(tmp_path: Path) -> None:
    maps = write(tmp_path / "maps.h5", [0, 1] * 5, ["train"] * 6 + ["test"] * 4)
    assert describe_pretraining(maps, maps.digest, range(10)) == (
        "; pretraining saw 6 of these 10 maps, without labels"
    )
    assert describe_pretraining(maps, maps.digest, range(6, 10)) == ""
    assert describe_pretraining(maps, "other data", range(10)) == ""


LINES = {
    "no labels": ([-1] * 8, "train", "auto", "no labels to probe with"),
    "single class": ([1] * 8, "train", "auto", "too few classes to probe: got 8 labelled samples, all of class 'b'"),
    "single class of train": (
        [1] * 8 + [0] * 2, ["train"] * 8 + ["test"] * 2, "own",
        "too few classes to probe: got 8 training samples, all of class 'b'",
    ),
    "one of a class": ([0] * 8 + [2], "train", "auto", "too few labels to cross-validate: got class 'c' with 1"),
    "no own split": ([0, 1] * 4, "train", "own", "no split of its own to probe with: got 8 labelled training"),
    "class of test only": (
        [0, 1] * 4 + [2] * 3, ["train"] * 8 + ["test"] * 3, "own",
        "test samples of a class without training samples: got 3 test samples of 'c'",
    ),
    "unknown choice": ([0, 1] * 4, "train", "ownn", "unknown split"),
}  # fmt: skip


@pytest.mark.parametrize("case", LINES)
def test_what_cannot_be_scored_is_refused(case: str, tmp_path: Path) -> None:
    labels, splits, choice, line = LINES[case]
    with pytest.raises(UserError) as refusal:
        plan_evaluation(write(tmp_path / "maps.h5", labels, splits), choice)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("labels", "share"),
    [
        ([0] * 60 + [1] * 4, "93.8%"),
        ([0] * 10 + [1] * 5 + [-1] * 30, "66.7%"),
        ([0] * 2 + [1] * 1 + [2] * 1, ""),
        ([0] * 5 + [1] * 5, ""),
        ([-1] * 3, ""),
    ],
)
def test_a_large_class_is_told(labels: list[int], share: str, tmp_path: Path) -> None:
    text = describe_imbalance(write(tmp_path / "maps.h5", labels), range(len(labels)))
    assert text.startswith(f"; {share} of them are of one class") if share else text == ""
