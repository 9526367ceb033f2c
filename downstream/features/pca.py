"""Principal components: of raw maps, the best linear summary that needs neither labels nor training; of features.

K. Pearson, *On lines and planes of closest fit to systems of points in space*, 1901; H. Hotelling, 1933.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

if TYPE_CHECKING:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline

COMPONENTS = 256
# Up to so many values a map the covariance (D, D) is decomposed whole; beyond, its leading part is found by sketching.
LARGEST_COVARIANCE = 4096


def pca_features(values: NDArray[np.float32], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """Project on the directions of largest variance of the training split.

    Parameters
    ----------
    values : ndarray, shape (N, D), float32
        Of all samples; centred by the training split's mean, not divided by its deviation.
    train : ndarray, shape (T,), int64
        The rows the components are fitted on.

    Returns
    -------
    ndarray, shape (N, min(256, D, T)), float32

    Raises
    ------
    UserError
        When there are fewer than two training rows.
    """
    if len(train) < 2:
        raise UserError("too few maps for principal components", len(train), "give at least 2 in the training split")
    model = _components(len(train), values.shape[1], COMPONENTS)
    model.fit(values[train])
    components: NDArray[np.float32] = model.transform(values).astype(np.float32, copy=False)
    return components


def fit_reduction(values: NDArray[np.float32], components: int) -> "Pipeline":
    """Fit what takes features to the principal components of their standardised values.

    Parameters
    ----------
    values : ndarray, shape (N, D), float32
        Of training samples.
    components : int
        K, how many are kept. They are not whitened: distances along the first ones count most.

    Returns
    -------
    Pipeline
        Of scikit-learn; ``reduced`` applies it.

    Raises
    ------
    UserError
        When there are fewer than K samples or features, or values that are not finite or all the same.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not 1 <= components <= min(values.shape):
        raise too_many_components(components, *values.shape)
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", f"{len(values)} samples", "take another checkpoint or layer")
    if (values == values[0]).all():
        raise UserError("constant features", f"{len(values)} samples alike", "they have no principal components")
    return make_pipeline(StandardScaler(), _components(values.shape[0], values.shape[1], components)).fit(values)


def too_many_components(components: int, samples: int, dimensions: int) -> UserError:
    """What to say of more components than a fit on so many samples of so many dimensions can have."""
    got = f"{components} of {samples} training samples with {dimensions} features"
    return UserError("that many principal components cannot be had", got, f"give 1 to {min(samples, dimensions)}")


def reduced(model: "Pipeline", values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal components (N, K) float32 of features (N, D) by ``fit_reduction``."""
    return cast(NDArray[np.float32], model.transform(values)).astype(np.float32, copy=False)


def _components(samples: int, dimensions: int, most: int) -> "PCA":
    from sklearn.decomposition import PCA

    if samples <= dimensions <= LARGEST_COVARIANCE:
        solver = "full"
    else:
        solver = "covariance_eigh" if dimensions <= LARGEST_COVARIANCE else "randomized"
    return PCA(min(most, dimensions, samples), svd_solver=solver, random_state=0)
