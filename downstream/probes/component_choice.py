"""Choose the number of principal components by cross-validation inside the training split.

Standardisation gives all components the same weight. With few training samples the last components
then outweigh the first, so fewer components score higher. No function of this module has an
argument for test data.
"""

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from downstream.features.pca import compute_pca_features
from downstream.probes.classifiers.logistic import fit_regularisation_path
from downstream.probes.cross_validation import FOLDS, MOST_CROSS_VALIDATED

CANDIDATES = tuple(2**power for power in range(1, 9))  # and all components of the training split
CHOICE_STRENGTHS = (1e-2, 1e-1, 1.0)  # Regularisations C with which each number is tried.


def choose_components(components: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> int:
    """Choose how many leading principal components to use.

    Parameters
    ----------
    components : ndarray, shape (T, K), float32
        Principal components of the training split, in order of decreasing variance, fitted on it.
    labels : ndarray, shape (T,), int64
        Labels of the training split, not negative.
    seed : int
        Seed of the folds.

    Returns
    -------
    int
        The number in 2, 4, 8, ..., 256 and K, at most K, with the highest cross-validated accuracy
        of logistic regression. The smallest one of equally good numbers. K if there is a single
        class or a class with a single sample, because these cannot be cross-validated.

    Notes
    -----
    The components are fitted again on the training part of each fold. C is 0.01, 0.1 or 1, whichever
    is best for the number. With more than 10,000 training samples one of five folds is held out, the
    others are not: so many samples need no average over folds. All samples take part, because more
    samples need more components (MNIST: 128 for 10,000, 256 for 60,000).

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.probes.component_choice import choose_components
    >>> generator = np.random.default_rng(0)
    >>> labels = np.arange(40) % 2
    >>> components = generator.normal(size=(40, 30)) * np.geomspace(1, 1e-3, 30)
    >>> components[:, 0] = 5 * labels + generator.normal(size=40)
    >>> choose_components(components.astype(np.float32), labels, seed=0)
    2
    """
    from sklearn.model_selection import StratifiedKFold

    most = components.shape[1]
    candidates = [*(count for count in CANDIDATES if count < most), most]
    counts = np.bincount(labels)
    smallest = int(counts[counts > 0].min())
    if len(candidates) == 1 or smallest < 2 or np.count_nonzero(counts) < 2:
        return most
    splitter = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)
    folds = splitter.split(components, labels)
    accuracies = np.zeros((len(candidates), len(CHOICE_STRENGTHS)))  # sums over the folds
    for train, held_out in islice(folds, 1 if len(labels) > MOST_CROSS_VALIDATED else None):
        fold = compute_pca_features(components, train)
        for number, count in enumerate(candidates):
            path = fit_regularisation_path(fold[train, :count], labels[train], CHOICE_STRENGTHS)
            for strength, predict in enumerate(path):
                accuracies[number, strength] += np.mean(predict(fold[held_out, :count]) == labels[held_out])
    # Means over folds differ by rounding only where they are equal.
    best = np.round(accuracies.max(axis=1), 9)
    return candidates[int(np.argmax(best))]
