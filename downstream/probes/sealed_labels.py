"""Seal the labels of a test split: only scores of final predictions can be read.

Code that makes a choice (of regularisation, components or draws) receives the training labels only.
Of the test split, or of a held-out fold, it receives features at most. Every score of the probe is
computed here, after all choices.
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
    mean_average_precision : float
        Mean average precision; NaN if no class has two test samples.
    chance : float
        Mean average precision of random features; NaN likewise.
    """

    mean_average_precision: float
    chance: float


class SealedLabels:
    """Labels (T,), int64, of the test split."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self.__labels = np.array(labels)

    def __len__(self) -> int:
        return len(self.__labels)

    def mark_correct(self, predicted: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of the final predictions (T,) are correct."""
        is_correct: NDArray[np.bool_] = predicted == self.__labels
        return is_correct

    def compute_confusion(self, predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
        """Count test samples by true class (row) and predicted class (column): (classes, classes)."""
        matrix = np.zeros((classes, classes), np.int64)
        np.add.at(matrix, (self.__labels, predicted), 1)
        return matrix

    def score_retrieval(self, features: NDArray[np.float32]) -> RetrievalScore:
        """Compute class retrieval by cosine similarity of the features (T, D) of the test split."""
        if np.bincount(self.__labels).max() < 2:
            return RetrievalScore(float("nan"), float("nan"))
        retrieval = score_class_retrieval(features, self.__labels, "cosine")
        return RetrievalScore(retrieval.mean_average_precision, retrieval.chance)


def compute_class_accuracies(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the share of correct predictions of each class (classes,); NaN for a class without samples."""
    totals = confusion.sum(axis=1)
    shares: NDArray[np.float64] = np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)
    return shares
