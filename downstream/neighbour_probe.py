"""The nearest-neighbour probe: majority of the k most similar training samples, found with faiss.

Nothing is learnt, so it says how the features lie, not how well a classifier could unmix them.
"""

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10


def neighbour_accuracy(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    test_labels: NDArray[np.int64],
    neighbours: int = NEIGHBOURS,
) -> float:
    """Share of test samples whose cosine-nearest training samples vote for their class.

    Parameters
    ----------
    train, test : ndarray, shape (N, D) and (T, D), float32
        Features; both are standardised with the training split's mean and deviation.
    train_labels, test_labels : ndarray, shape (N,) and (T,), int64
        Not negative.
    neighbours : int
        Voters k; of classes with as many votes the one with the more similar voters wins.

    Returns
    -------
    float
        Accuracy in [0, 1].
    """
    import faiss

    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 1e-12, std, 1.0)

    def directions(features: NDArray[np.float32]) -> NDArray[np.float32]:
        standard = np.ascontiguousarray((features - mean) / std, np.float32)
        faiss.normalize_L2(standard)
        return standard

    index = faiss.IndexFlatIP(train.shape[1])
    index.add(directions(train))
    similarity, nearest = index.search(directions(test), min(neighbours, len(train)))  # (T, k) both
    votes = np.zeros((len(test), int(train_labels.max()) + 1))
    # a vote counts 1, plus a similarity too small to outweigh another vote
    weight = 1.0 + similarity / (2.0 * neighbours)
    np.add.at(votes, (np.arange(len(test))[:, None], train_labels[nearest]), weight)
    return float((votes.argmax(axis=1) == test_labels).mean())
