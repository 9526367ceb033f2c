"""The probes with fewer draws, folds, steps and choices, through the same code."""

import pytest

QUICK = {
    "few_shot.DRAWS": 2,
    "protocol.splits.OUTER_FOLDS": 2,
    "protocol.splits.MOST_REPEATS": 2,
    "protocol.splits.FEWEST_REPEATS": 2,
    "cross_validation.FOLDS": 2,
    "classifiers.logistic.STRENGTHS": (1e-3, 1e-1, 10.0),
    "classifiers.logistic.MOST_ITERATIONS": 20,
    "classifiers.svm.SVM_STRENGTHS": (1e-4, 1e-2, 1.0),
    "classifiers.adam_layer.WEIGHT_DECAYS": (0.1, 0.0),
    "classifiers.adam_layer.EPOCHS": 2,
    "classifiers.adam_layer.FEWEST_STEPS": 2,
    "fine_tune.EPOCHS": (1, 2),
}


def make_probes_quick(patch: pytest.MonkeyPatch) -> None:
    """Set the constants of the probes to small values."""
    for name, value in QUICK.items():
        patch.setattr(f"downstream.probes.{name}", value)


@pytest.fixture
def quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """This test probes with fewer draws, folds, steps and choices."""
    make_probes_quick(monkeypatch)
