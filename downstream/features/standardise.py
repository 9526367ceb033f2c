"""Standardise features with the statistics of the training split; scale features to unit length.

Letters in shapes: N training samples, T test samples, D features.
"""

import numpy as np
from numpy.typing import NDArray

CONSTANT_BELOW = 1e-12  # a feature with a smaller standard deviation is only centred


def standardise_features(
    train: NDArray[np.float32], test: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Standardise two sets of features with the mean and standard deviation of the first set.

    Parameters
    ----------
    train : ndarray, shape (N, D), float32
        Features of the training split.
    test : ndarray, shape (T, D), float32
        Features of other samples. They do not affect the statistics.

    Returns
    -------
    train, test : ndarray, shapes (N, D) and (T, D), float32
        Copies, (x - mean) / std. A feature that is constant in the training split is only centred.

    Notes
    -----
    ``std`` is the population standard deviation (divisor N). All values are computed in float32.
    Standardised training features have mean 0 and deviation 1 to about 1e-6 for features of
    moderate mean; the error grows with ``|mean| / std``.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import standardise_features
    >>> train = np.array([[0.0, 5.0], [2.0, 5.0]], np.float32)
    >>> test = np.array([[3.0, 6.0]], np.float32)
    >>> standardised_train, standardised_test = standardise_features(train, test)
    >>> standardised_train.tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    >>> standardised_test.tolist()
    [[2.0, 1.0]]
    """
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > CONSTANT_BELOW, std, 1.0)
    standardised_train, standardised_test = (
        np.ascontiguousarray((features - mean) / std, np.float32) for features in (train, test)
    )
    return standardised_train, standardised_test


def scale_to_unit_length(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each sample's features by their Euclidean length.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features of any scale.

    Returns
    -------
    ndarray, shape (N, D), float32
        Rows of length 1, to the rounding of float32. A row of zeros stays zero.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import scale_to_unit_length
    >>> scale_to_unit_length(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (features / np.where(length > 0, length, 1)).astype(np.float32)
    return scaled
