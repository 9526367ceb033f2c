"""The nearest-neighbour probe: majority of the k most similar training samples, found with faiss.

Nothing is learnt, so it says how the features lie, not how well a classifier could unmix them.
"""

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10


def predict_by_neighbours(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    neighbours: int = NEIGHBOURS,
) -> NDArray[np.int64]:
    """Classes for which the cosine-nearest training samples of each test sample vote.

    Parameters
    ----------
    train, test : ndarray, shape (N, D) and (T, D), float32
        Features; both are standardised with the training split's mean and deviation.
    train_labels : ndarray, shape (N,), int64
        Not negative.
    neighbours : int
        Voters k; of classes with as many votes the one with the more similar voters wins.

    Returns
    -------
    ndarray, shape (T,), int64
    """
    import faiss

    def directions(features: NDArray[np.float32]) -> NDArray[np.float32]:
        faiss.normalize_L2(features)
        return features

    known, asked = standardised(train, test)
    index = faiss.IndexFlatIP(train.shape[1])
    index.add(directions(known))
    similarity, nearest = index.search(directions(asked), min(neighbours, len(train)))  # (T, k) both
    votes = np.zeros((len(test), int(train_labels.max()) + 1))
    # a vote counts 1, plus a similarity too small to outweigh another vote
    weight = 1.0 + similarity / (2.0 * neighbours)
    np.add.at(votes, (np.arange(len(test))[:, None], train_labels[nearest]), weight)
    return votes.argmax(axis=1).astype(np.int64)


def neighbour_accuracy(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    neighbours: int = NEIGHBOURS,
) -> float:
    """Share of test samples (T, D) for whose class (T,) the neighbours vote; see ``predict_by_neighbours``."""
    return float((predict_by_neighbours(train, train_labels, test, neighbours) == test_labels).mean())


def standardised(
    train: NDArray[np.float32], test: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Copies of features (N, D) and (T, D), float32, with the training split's mean and deviation taken out."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 1e-12, std, 1.0)
    known, asked = (np.ascontiguousarray((features - mean) / std, np.float32) for features in (train, test))
    return known, asked
