"""Modes, phantoms and marks against values counted by hand."""

import math

import pytest
import torch

from downstream.metrics.modes import score_clean_mode, score_marks, score_modes, summarise_path
from pretext.data.batch import Example
from pretext.methods.cgml.latent_path import InferredPath
from pretext.tasks.alternate import MARKS, AlternateConfig, find_absent_mark
from pretext.tasks.corrupted import CorruptedConfig, list_wrong_targets, overlap_halves


def test_a_report_worked_out_by_hand() -> None:
    modes = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]], [[0.1, 0.0], [-0.1, 0.0]]])  # the second pair is not apart
    predictions = torch.tensor(
        [[[1.0, 0.2], [-0.9, 0.0], [0.1, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.1, 0.0], [-0.1, 0.0], [0.0, 3.0]]]
    )
    report = score_modes(predictions, modes, 0.3)
    assert report.within == pytest.approx(5 / 8)
    # (0.1, 0) is nearer to the middle; (2, 0) is no phantom but a miss; (0, 3) is nearer to the middle by a hair
    assert report.phantom == pytest.approx(2 / 8)
    assert report.shares == pytest.approx((3 / 4, 1 / 4))
    assert report.coverage == 1.0
    distances = [0.2, 0.1, 0.9, 1.0, 0.1, 0.0, 0.0, math.hypot(3, 0.1)]
    assert report.distance == pytest.approx(sum(distances) / 8)


def test_one_mode_missed_is_not_covered_and_shapes_must_fit() -> None:
    modes = torch.tensor([[[1.0], [-1.0]]]).expand(2, 2, 1)
    predictions = torch.tensor([[[1.0], [-1.0]], [[1.0], [0.9]]])
    assert score_modes(predictions, modes, 0.3).coverage == 0.5
    with pytest.raises(ValueError, match="do not fit"):
        score_modes(predictions, modes[:1], 0.3)


def test_a_path_is_summed_up() -> None:
    latents = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1).expand(3, 2, 1, 1)
    rho = torch.tensor([[[1.0], [3.0]], [[2.0], [2.0]]])
    report = summarise_path(InferredPath(latents, rho, torch.tensor([[1], [2]])))
    assert report.rho == (2.0, 2.0)
    assert (report.converged, report.steps, report.moved) == (0.5, 1.5, 3.0)


def test_predictions_with_without_and_between_the_mark() -> None:
    clean = -torch.ones(2, 1, 32, 32)
    predictions = clean[:, None].repeat(1, 3, 1, 1, 1)
    top, bottom, left, right = MARKS["box"]
    predictions[0, 0, :, top:bottom, left:right] = 1.0  # the mark
    predictions[0, 1, :, top:bottom, left:right] = 0.0  # half of it: between
    predictions[1, 0, :, :top] = 1.0  # elsewhere: does not count
    mark = find_absent_mark(AlternateConfig(rate=0), 32, 32)
    assert mark is not None
    scores = score_marks(clean, predictions, mark)
    assert scores == pytest.approx({"with the mark": 1 / 6, "without": 4 / 6, "between": 1 / 6, "both found": 0.5})


def test_predictions_nearest_to_the_clean_target_are_counted_by_hand() -> None:
    target = torch.zeros(2, 1, 1, 2)
    weight = torch.tensor([1.0, 0.0]).expand(2, 1, 1, 2)  # the second value does not count
    wrong = torch.tensor([[[1.0, 0.0], [-2.0, 0.0], [0.0, 7.0]]]).expand(2, 3, 2).view(2, 3, 1, 1, 2)
    values = torch.tensor([[0.4, 0.6, -0.9, -1.1], [0.0, 0.5, 0.1, 2.0]])  # of four predictions
    predictions = torch.stack([values, torch.full_like(values, 9.0)], dim=2).view(2, 4, 1, 1, 2)
    scores = score_clean_mode(Example(target, target, weight), predictions, wrong)
    # nearest to 0 of 1, -2 and 0 (which does not count): 0.4 and -0.9; 0, 0.5 (a tie) and 0.1
    assert scores == {"clean": 5 / 8, "mostly clean": 0.5}


def test_wrong_targets_are_the_clean_ones_with_others_over_them() -> None:
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    example = Example(images, images, torch.ones_like(images))
    assert list_wrong_targets(example, CorruptedConfig(share=0.2)) is None
    assert list_wrong_targets(Example(*(part[:1] for part in example)), CorruptedConfig(share=0)) is None
    wrong = list_wrong_targets(example, CorruptedConfig(share=0, overlap="replace"))
    assert wrong is not None
    assert wrong.shape == (4, 3, 1, 8, 8)
    for sample in range(4):
        others = {number for number in range(4) if number != sample}
        for each in wrong[sample]:
            (found,) = (number for number in others if torch.equal(each[:, :4], images[number][:, :4]))
            others.remove(found)
            torch.testing.assert_close(each[:, 4:], images[sample][:, 4:], rtol=0, atol=0)
    added = list_wrong_targets(example, CorruptedConfig(share=0))
    assert added is not None
    torch.testing.assert_close(added[:, 0], overlap_halves(images, torch.tensor([1, 2, 3, 0]), "sum"))
