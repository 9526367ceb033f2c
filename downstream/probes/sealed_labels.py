"""The labels of the test split, in an envelope that gives out scores of finished answers and nothing else.

Whatever chooses anything (regularisation, components, draws) is given the training labels; of the test split it gets
the features at most. Every score of the probe is asked here, after everything is decided.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstream.metrics.retrieval import score_class_retrieval


@dataclass(frozen=True)
class RetrievalScore:
    """Class retrieval among the test samples.

    Attributes
    ----------
    mean_average_precision, chance : float
        As in ``downstream.metrics.retrieval``; NaN where no class has two test samples.
    """

    mean_average_precision: float
    chance: float


class SealedLabels:
    """Labels (T,) int64 of the test split."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self.__labels = np.array(labels)

    def __len__(self) -> int:
        return len(self.__labels)

    def accuracy(self, predicted: NDArray[np.int64]) -> float:
        """Share of the answers (T,) that are right."""
        return float((predicted == self.__labels).mean())

    def confusion(self, predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        """How many test samples of each class (row) were taken for each class (column): (classes, classes)."""
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (self.__labels, predicted), 1)
        return matrix

    def retrieval(self, features: NDArray[np.float32]) -> RetrievalScore:
        """Mean average precision by cosine similarity of the features (T, D) of the test split, as they are."""
        if np.bincount(self.__labels).max() < 2:
            return RetrievalScore(float("nan"), float("nan"))
        found = score_class_retrieval(features, self.__labels, "cosine")
        return RetrievalScore(found.mean_average_precision, found.chance)


def compute_class_accuracies(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each class's test samples (classes,) that are right; NaN for a class that has none."""
    totals = confusion.sum(axis=1)
    shares: NDArray[np.float64] = np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)
    return shares
