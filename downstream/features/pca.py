"""Compute principal components of raw maps (a training-free baseline) and of features.

K. Pearson, *On lines and planes of closest fit to systems of points in space*, 1901; H. Hotelling,
*Analysis of a complex of statistical variables into principal components*, 1933.

Letters in shapes: N samples, T training samples, D values of a sample, K components.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

if TYPE_CHECKING:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline

COMPONENTS = 256
# Up to this D the whole covariance (D, D) is decomposed. For larger D a randomised solver finds its
# leading part.
LARGEST_COVARIANCE = 4096


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
    ndarray, shape (N, min(256, D, T)), float32
        Principal components, in order of decreasing variance.

    Raises
    ------
    UserError
        If there are fewer than two training rows.

    Notes
    -----
    (x - mean) V, where the columns of V are the leading eigenvectors of the covariance
    of the training rows. The signs of the columns are arbitrary. The tests compare the leading
    components with an eigendecomposition in float64 to 2e-3. For D over 4096 a randomised solver is
    used, whose last components are approximate.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import compute_pca_features
    >>> values = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.1]], np.float32)
    >>> components = compute_pca_features(values, np.arange(3))
    >>> components.shape, bool(abs(components[0, 0]) > abs(components[0, 1]))
    ((3, 2), True)
    """
    if len(train) < 2:
        raise UserError("too few maps for principal components", len(train), "give at least 2 in the training split")
    model = _make_pca(len(train), values.shape[1], COMPONENTS)
    model.fit(values[train])
    components: NDArray[np.float32] = model.transform(values).astype(np.float32, copy=False)
    return components


def fit_reduction(values: NDArray[np.float32], components: int) -> "Pipeline":
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
    Pipeline
        Pipeline of scikit-learn; apply it with ``reduce_features``.

    Raises
    ------
    UserError
        If there are fewer than K samples or features, or the features are constant or not finite.

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
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not 1 <= components <= min(values.shape):
        raise components_error(components, *values.shape)
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", f"{len(values)} samples", "use another checkpoint or layer")
    if (values == values[0]).all():
        raise UserError("constant features", f"{len(values)} equal samples", "use another checkpoint or layer")
    return make_pipeline(StandardScaler(), _make_pca(values.shape[0], values.shape[1], components)).fit(values)


def components_error(components: int, samples: int, dimensions: int) -> UserError:
    """Return the error for more components than samples or dimensions allow."""
    got = f"{components} of {samples} training samples with {dimensions} features"
    return UserError("too many principal components", got, f"give 1 to {min(samples, dimensions)}")


def reduce_features(model: "Pipeline", values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the principal components of features.

    Parameters
    ----------
    model : Pipeline
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
    return cast(NDArray[np.float32], model.transform(values)).astype(np.float32, copy=False)


def _make_pca(samples: int, dimensions: int, most: int) -> "PCA":
    """Make a PCA of at most ``most`` components with the fastest exact solver there is for this size."""
    from sklearn.decomposition import PCA

    if samples <= dimensions <= LARGEST_COVARIANCE:
        solver = "full"
    else:
        solver = "covariance_eigh" if dimensions <= LARGEST_COVARIANCE else "randomized"
    return PCA(min(most, dimensions, samples), svd_solver=solver, random_state=0)
