"""Principal components of raw maps: the best linear summary that needs neither labels nor training.

K. Pearson, *On lines and planes of closest fit to systems of points in space*, 1901; H. Hotelling, 1933.
"""

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

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
    from sklearn.decomposition import PCA

    if len(train) < 2:
        raise UserError("too few maps for principal components", len(train), "give at least 2 in the training split")
    dimensions = values.shape[1]
    if len(train) <= dimensions <= LARGEST_COVARIANCE:
        solver = "full"
    else:
        solver = "covariance_eigh" if dimensions <= LARGEST_COVARIANCE else "randomized"
    model = PCA(min(COMPONENTS, dimensions, len(train)), svd_solver=solver, random_state=0)
    model.fit(values[train])
    components: NDArray[np.float32] = model.transform(values).astype(np.float32, copy=False)
    return components
