"""Examples of functions that the command ``evaluate`` uses and that are not public names."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["downstream.metrics.modes", "downstream.metrics.prediction_scores"])
def test_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
