"""Standardise features with the statistics of the training split; scale features to unit length.

Letters in shapes: N training samples, T test samples, D features.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

# A value that is the same for all samples differs by a few rounding errors when it is computed.
ROUNDING_ERRORS = 4
VALUES_AT_ONCE = 2**24  # The scaler converts values to float64, so it gets them in blocks of 128 MiB.


def get_rounding_error(values: NDArray[Any]) -> float:
    """Return the relative size of rounding noise in values of this type: 4 eps, so 4.8e-7 for float32."""
    return ROUNDING_ERRORS * float(np.finfo(values.dtype).eps)


def fit_scaler(train: NDArray[Any]) -> "StandardScaler":
    """Fit the standardisation of features on the training split.

    Parameters
    ----------
    train : ndarray, shape (N, D), float32 or float64
        Features of the training split.

    Returns
    -------
    StandardScaler
        Scaler of scikit-learn: x -> (x - mean) / std. The ``scale_`` of a constant feature is
        infinite, so it becomes 0 for every sample.

    Notes
    -----
    ``std`` is the population standard deviation (divisor N), accumulated in float64. A feature is
    constant if its standard deviation is at most 4 eps times its largest absolute value (eps is
    1.2e-7 in float32). So small a deviation is rounding noise. Division by it would raise the noise
    to the scale of the other features.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import fit_scaler
    >>> noise = np.float32(5) + np.array([0, 5e-7, 0, -5e-7], np.float32)
    >>> train = np.stack([np.arange(4, dtype=np.float32), noise], axis=1)
    >>> fit_scaler(train).transform(train).std(axis=0).round(3).tolist()
    [1.0, 0.0]
    """
    scaler = _accumulate(train)
    largest = np.maximum(train.max(axis=0), -train.min(axis=0)).astype(np.float64)
    std = np.sqrt(scaler.var_)
    scaler.scale_ = np.where(std > get_rounding_error(train) * largest, std, np.inf)
    return scaler


def _accumulate(values: NDArray[Any]) -> "StandardScaler":
    """Compute mean and variance of each column of (N, D) in float64."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    at_once = max(1, VALUES_AT_ONCE // values.shape[1])
    for start in range(0, len(values), at_once):
        scaler.partial_fit(values[start : start + at_once])
    return scaler


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
        Copies, (x - mean) / std. A feature that is constant in the training split, up to rounding,
        is 0 in both (see ``fit_scaler``).

    Notes
    -----
    ``std`` is the population standard deviation (divisor N). Mean and deviation are accumulated in
    float64. Standardised training features have mean 0 and deviation 1 to about 1e-6 for features
    of moderate mean; the error grows with ``|mean| / std``.

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
    [[2.0, 0.0]]
    """
    scaler = fit_scaler(train)
    standardised_train, standardised_test = (
        np.ascontiguousarray(scaler.transform(features), np.float32) for features in (train, test)
    )
    return standardised_train, standardised_test


def clear_rounding_noise(features: NDArray[np.float32], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """Set features to 0 that are rounding noise of the transform that computes all of them.

    Some coefficients are 0 by construction, for example the first moments of a centred cloud. The
    transform returns its rounding errors for them.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features of one unit, all computed by one transform.
    train : ndarray, shape (T,), int64
        Training rows.

    Returns
    -------
    ndarray, shape (N, D), float32
        The array itself if no feature is noise, otherwise a copy. A feature is noise if its
        deviation over the training rows is at most 4 eps (4.8e-7) times the largest absolute value
        of all features.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features.standardise import clear_rounding_noise
    >>> features = np.array([[1.0, 1e-9], [2.0, -3e-9]], np.float32)
    >>> clear_rounding_noise(features, np.arange(2)).tolist()
    [[1.0, 0.0], [2.0, 0.0]]
    """
    chosen = features[train]
    largest = max(float(chosen.max()), -float(chosen.min()))
    is_noise = np.sqrt(_accumulate(chosen).var_) <= get_rounding_error(features) * largest
    return np.where(is_noise, np.float32(0), features) if is_noise.any() else features


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
    # Squares of values under 1e-19 or over 1e19 have no float32.
    length = np.sqrt(np.einsum("nd,nd->n", features, features, dtype=np.float64))[:, None]
    scaled: NDArray[np.float32] = (features / np.where(length > 0, length, 1)).astype(np.float32)
    return scaled
