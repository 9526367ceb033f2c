"""Compute principal components of raw maps (a training-free baseline) and of features.

K. Pearson, *On lines and planes of closest fit to systems of points in space*, 1901; H. Hotelling,
*Analysis of a complex of statistical variables into principal components*, 1933.

T centred samples span at most T - 1 dimensions. Components beyond the rank consist of rounding
errors, and standardisation would raise them to the scale of the others. So they are left out. The
rank counts the components whose standard deviation is above

    4 eps max(m (1 + sqrt(D / T)), s_1),

where eps belongs to the type of the values (1.2e-7 for float32), m is the largest absolute value
and s_1 the largest deviation. Independent errors of size e have components of deviation up to
e (1 + sqrt(D / T)) (Z. D. Bai, Y. Q. Yin, Annals of Probability 1993).

Letters in shapes: N samples, T training samples, D values of a sample, K components.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import fit_scaler, get_rounding_error
from spectral_ssl.ground.errors import UserError

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

COMPONENTS = 256
# Up to this size of the smaller side the components are exact. Larger arrays have a randomised
# solver for the leading components.
LARGEST_EXACT = 4096
VALUES_AT_ONCE = 2**22  # converted to float64 in blocks of 32 MiB


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Principal components of training samples; a call projects samples on them.

    Attributes
    ----------
    mean : ndarray, shape (D,), float64
        Mean of the training samples.
    directions : ndarray, shape (D, K), float64
        Orthonormal directions, in order of decreasing variance. The entry of a direction with the
        largest absolute value is positive.
    deviations : ndarray, shape (K,), float64
        Standard deviation of the training samples along each direction (divisor T - 1).
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    deviations: NDArray[np.float64]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the components (N, K), float32, of samples (N, D)."""
        components = np.empty((len(values), self.directions.shape[1]), np.float32)
        for rows, centred in _centre_in_blocks(values, self.mean):
            components[rows] = centred @ self.directions
        return components


@dataclass(frozen=True, eq=False)
class Reduction:
    """Standardisation of features and the principal components that follow it; see ``fit_reduction``.

    Attributes
    ----------
    scaler : StandardScaler
        Standardisation, fitted on the training samples.
    components : PrincipalComponents
        Components of the standardised training samples.
    """

    scaler: "StandardScaler"
    components: PrincipalComponents


def fit_components(values: NDArray[np.float32], most: int = COMPONENTS) -> PrincipalComponents:
    """Fit the principal components of training samples, without those of rounding noise.

    Parameters
    ----------
    values : ndarray, shape (T, D), float32 or float64
        Training samples. They are centred, but not divided by their deviation.
    most : int
        Largest number of components.

    Returns
    -------
    PrincipalComponents
        K components, with K at most ``most``, D and T - 1, and at most the numerical rank (see this
        module). K is 0 if all samples are equal.

    Raises
    ------
    UserError
        If there are fewer than two samples.

    Notes
    -----
    The columns of V are the leading eigenvectors of the covariance. They come from the smaller of
    X' X and X X', accumulated in float64. If both sides are larger than 4096, a randomised solver
    (N. Halko et al., SIAM Review 2011) finds them in the type of the values.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import fit_components
    >>> values = np.random.default_rng(0).normal(size=(22, 100)).astype(np.float32)
    >>> fit_components(values).directions.shape  # 22 centred samples span 21 dimensions
    (100, 21)
    """
    count, dimensions = values.shape
    if count < 2:
        raise UserError("too few maps for principal components", count, "give at least 2 in the training split")
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in _split_rows(values)) / count
    most = min(most, dimensions, count - 1)
    directions = _find_directions(values, mean, most)
    squares = sum(np.square(centred @ directions).sum(axis=0) for _, centred in _centre_in_blocks(values, mean))
    deviations = np.sqrt(squares / (count - 1))
    order = np.argsort(-deviations, kind="stable")
    largest = max(float(values.max()), -float(values.min()))
    noise = max(largest * (1 + np.sqrt(dimensions / count)), deviations.max())
    chosen = order[deviations[order] > get_rounding_error(values) * noise]
    directions = directions[:, chosen]
    signs = np.sign(np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0))
    return PrincipalComponents(mean, directions * signs, deviations[chosen])


def compute_pca_features(values: NDArray[np.float32], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """Project samples on the directions of largest variance of the training split.

    Parameters
    ----------
    values : ndarray, shape (N, D), float32
        Values of all samples. They are centred with the mean of the training split, but not divided
        by its deviation.
    train : ndarray, shape (T,), int64
        Rows on which the components are fitted.

    Returns
    -------
    ndarray, shape (N, K), float32
        Principal components, in order of decreasing variance. K is at most 256, D and T - 1, and at
        most the numerical rank of the training rows (see this module). If all training rows are
        equal, the only column is 0.

    Raises
    ------
    UserError
        If there are fewer than two training rows.

    Notes
    -----
    (x - mean) V, where the columns of V are the leading eigenvectors of the covariance of the
    training rows. The tests compare the leading components with an eigendecomposition in float64 to
    2e-3. If D and T are both over 4096, a randomised solver is used, whose last components are
    approximate.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import compute_pca_features
    >>> values = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.1]], np.float32)
    >>> components = compute_pca_features(values, np.arange(3))
    >>> components.shape, bool(abs(components[0, 0]) > abs(components[0, 1]))
    ((3, 2), True)
    """
    components = fit_components(values[train])(values)
    return components if components.shape[1] else np.zeros((len(values), 1), np.float32)


def fit_reduction(values: NDArray[np.float32], components: int) -> Reduction:
    """Fit the principal components of standardised features.

    Parameters
    ----------
    values : ndarray, shape (N, D), float32
        Features of training samples.
    components : int
        Number K of components to keep. They are not whitened, so distances along the first
        components weigh most.

    Returns
    -------
    Reduction
        Fitted model; apply it with ``reduce_features``.

    Raises
    ------
    UserError
        If the features are constant or not finite, or their rank is below K. The rank is at most
        N - 1, D and the numerical rank of the standardised features.

    Notes
    -----
    ((x - mean) / deviation) V, where the columns of V are the K leading eigenvectors of
    the correlation matrix. With K = D all distances of standardised features are kept to 1e-4
    (float32).

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import fit_reduction, reduce_features
    >>> values = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    >>> reduce_features(fit_reduction(values, 2), values).shape
    (20, 2)
    """
    count, dimensions = values.shape
    if not 1 <= components <= count_most_components(count, dimensions):
        raise components_error(components, count, dimensions)
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", f"{count} samples", "use another checkpoint or layer")
    scaler = fit_scaler(values)
    fitted = fit_components(scaler.transform(values), components)
    rank = fitted.directions.shape[1]
    if rank == 0:
        raise UserError("constant features", f"{count} equal samples", "use another checkpoint or layer")
    if rank < components:
        raise components_error(components, count, dimensions, rank)
    return Reduction(scaler, fitted)


def count_most_components(samples: int, dimensions: int) -> int:
    """Return how many principal components samples can have: their number minus 1, or that of the dimensions."""
    return min(samples - 1, dimensions)


def components_error(components: int, samples: int, dimensions: int, rank: int | None = None) -> UserError:
    """Return the error for more components than samples, dimensions or the rank of the features allow."""
    got = f"{components} of {samples} training samples with {dimensions} features"
    most = count_most_components(samples, dimensions)
    if rank is None:
        return UserError("too many principal components", got, f"give 1 to {most}")
    return UserError("too many principal components", f"{got} of rank {rank}", f"give 1 to {rank}")


def reduce_features(model: Reduction, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the principal components of features.

    Parameters
    ----------
    model : Reduction
        Reduction fitted by ``fit_reduction``.
    values : ndarray, shape (N, D), float32
        Features of any samples.

    Returns
    -------
    ndarray, shape (N, K), float32
        Principal components, computed as in ``fit_reduction``.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import fit_reduction, reduce_features
    >>> train = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    >>> model = fit_reduction(train, 2)
    >>> reduce_features(model, train[:3]).shape
    (3, 2)
    """
    return model.components(model.scaler.transform(values))


def _find_directions(values: NDArray[np.float32], mean: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Find the leading directions (D, most) of centred samples; those of no variance are arbitrary."""
    from scipy.linalg import eigh, qr

    count, dimensions = values.shape
    if min(count, dimensions) > LARGEST_EXACT:
        from sklearn.decomposition import PCA

        model = PCA(most, svd_solver="randomized", random_state=0).fit(values)
        return np.asarray(model.components_.T, np.float64)
    if dimensions < count:
        products = sum(centred.T @ centred for _, centred in _centre_in_blocks(values, mean))
        vectors: NDArray[np.float64] = eigh(products, subset_by_index=[dimensions - most, dimensions - 1])[1]
        return vectors[:, ::-1]
    centred = values - mean
    weights = eigh(centred @ centred.T, subset_by_index=[count - most, count - 1])[1][:, ::-1]
    # The columns are orthogonal where they are above rounding errors. The others must not repeat them.
    directions: NDArray[np.float64] = qr(centred.T @ weights, mode="economic")[0]
    return directions


def _split_rows(values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of an array (N, D) in blocks."""
    at_once = max(1, VALUES_AT_ONCE // max(1, values.shape[1]))
    return (values[start : start + at_once] for start in range(0, len(values), at_once))


def _centre_in_blocks(
    values: NDArray[np.float32], mean: NDArray[np.float64]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the rows of each block and its centred values in float64."""
    start = 0
    for block in _split_rows(values):
        yield slice(start, start + len(block)), block - mean
        start += len(block)
