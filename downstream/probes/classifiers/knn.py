"""Predict classes by a majority vote of the k most similar training samples.

Nothing is learnt, so this probe measures the arrangement of the features, not how well a classifier
could separate them.
"""

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import standardise_features

NEIGHBOURS = 10


def predict_by_neighbours(
    train: NDArray[np.float32],
    train_labels: NDArray[np.int64],
    test: NDArray[np.float32],
    neighbours: int = NEIGHBOURS,
) -> NDArray[np.int64]:
    """Predict the class of each test sample by a vote of its most similar training samples.

    Parameters
    ----------
    train, test : ndarray, shapes (N, D) and (T, D), float32
        Features of the training split and of the test split. Both are standardised with the
        statistics of the training split and compared by cosine similarity.
    train_labels : ndarray, shape (N,), int64
        Labels of the training split, not negative.
    neighbours : int
        Number k of voters. Among classes with equally many votes, the class with the more similar
        voters wins.

    Returns
    -------
    ndarray, shape (T,), int64
        Predicted classes.
    """
    import faiss

    def normalise(features: NDArray[np.float32]) -> NDArray[np.float32]:
        faiss.normalize_L2(features)
        return features

    standard_train, standard_test = standardise_features(train, test)
    index = faiss.IndexFlatIP(train.shape[1])
    index.add(normalise(standard_train))
    similarity, nearest = index.search(normalise(standard_test), min(neighbours, len(train)))  # (T, k) both
    votes = np.zeros((len(test), int(train_labels.max()) + 1))
    # A vote counts 1 plus a part of the similarity that is too small to outweigh another vote.
    weight = 1.0 + similarity / (2.0 * neighbours)
    np.add.at(votes, (np.arange(len(test))[:, None], train_labels[nearest]), weight)
    return votes.argmax(axis=1).astype(np.int64)
