"""Marks counted by hand."""

import pytest
import torch

from downstream.metrics.modes import score_marks
from pretext.tasks.alternate import MARKS, AlternateConfig, find_absent_mark


def test_answers_with_without_and_between() -> None:
    clean = -torch.ones(2, 1, 32, 32)
    answers = clean[:, None].repeat(1, 3, 1, 1, 1)
    top, bottom, left, right = MARKS["box"]
    answers[0, 0, :, top:bottom, left:right] = 1.0  # the mark
    answers[0, 1, :, top:bottom, left:right] = 0.0  # half of it: between
    answers[1, 0, :, :top] = 1.0  # elsewhere: does not count
    mark = find_absent_mark(AlternateConfig(rate=0), 32, 32)
    assert mark is not None
    scores = score_marks(clean, answers, mark)
    assert scores == pytest.approx({"with the mark": 1 / 6, "without": 4 / 6, "between": 1 / 6, "both found": 0.5})
