"""Measure how different the predictions for one condition are, by the mean distance of random pairs.

J.-Y. Zhu et al., *Toward Multimodal Image-to-Image Translation*, NeurIPS 2017, measure it with
LPIPS. The cGML paper uses 10 pairs of 20 predictions. High diversity alone has no value: noise is
more diverse than any correct predictions.

Letters in shapes: N conditions, K predictions for each, P pairs, C x H x W values of a map.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstream.metrics.lpips import PerceptualDistance, perceptual_distances
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

PAIRS = 10
PREDICTIONS = 20

Distance = Callable[[Tensor, Tensor], Tensor]


def prediction_diversity(
    predictions: Tensor, distance: Distance, generator: torch.Generator, pairs: int = PAIRS
) -> NDArray[np.float64]:
    """Compute the mean distance of random pairs of the predictions for each condition.

    Parameters
    ----------
    predictions : Tensor, shape (N, K, C, H, W), floating
        K predictions for each of N conditions.
    distance : callable
        Function of two batches (P, C, H, W) that returns the distance of each pair, (P,). Make it
        with ``make_perceptual_distance`` or ``make_rms_distance``.
    generator : torch.Generator
        Random number generator that draws the pairs, different pairs for every condition.
    pairs : int
        Number of different pairs for each condition. All K (K - 1) / 2 pairs are used if there are
        fewer.

    Returns
    -------
    ndarray, shape (N,), float64
        Diversity for each condition, at least 0. It is 0 if all predictions are equal.

    Raises
    ------
    UserError
        If the shape is wrong, there are fewer than two predictions or no pair, or a value is not
        finite.

    Notes
    -----
    mean over the drawn pairs (i, j), i < j, of d(prediction_i, prediction_j). With all pairs the
    value is exact, otherwise it is an unbiased estimate of the mean over all pairs.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import make_rms_distance, prediction_diversity
    >>> predictions = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 3, 1, 1, 1)
    >>> distance = make_rms_distance(torch.ones(1, 1, 1, dtype=torch.bool))
    >>> prediction_diversity(predictions, distance, torch.Generator()).tolist()
    [2.0]
    """
    if predictions.ndim != 5 or 0 in predictions.shape:
        raise UserError("shape of the predictions", tuple(predictions.shape), "give (N, K, C, H, W), none of them 0")
    count = predictions.shape[1]
    if count < 2:
        what_to_do = f"give at least 2 for each condition, e.g. {PREDICTIONS}"
        raise UserError("too few predictions for their diversity", count, what_to_do)
    check_range("number of pairs", pairs, 1, np.inf)
    if not predictions.isfinite().all():
        raise UserError("predictions that are not finite", "NaN or infinity", "train again with a lower learning rate")
    every_pair = torch.combinations(torch.arange(count))  # (K (K - 1) / 2, 2)
    means = []
    for samples in predictions:
        chosen = every_pair[torch.randperm(len(every_pair), generator=generator)[:pairs]]
        means.append(float(distance(samples[chosen[:, 0]], samples[chosen[:, 1]]).double().mean()))
    return np.asarray(means)


def make_perceptual_distance(network: PerceptualDistance) -> Distance:
    """Make the distance for images in [-1, 1]: ST-LPIPS or LPIPS, see ``downstream.metrics.lpips``.

    Parameters
    ----------
    network : PerceptualDistance
        Network loaded by ``load_perceptual_distance``.

    Returns
    -------
    callable
        Function of two batches of images (P, C, H, W) that returns distances (P,), at least 0.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import load_perceptual_distance, make_perceptual_distance
    >>> distance = make_perceptual_distance(load_perceptual_distance())
    >>> distance(torch.zeros(2, 1, 24, 24), torch.zeros(2, 1, 24, 24)).tolist()
    [0.0, 0.0]
    """
    return lambda first, second: perceptual_distances(network, first, second)


def make_rms_distance(valid: Tensor, deviation: Tensor | None = None) -> Distance:
    """Make the distance for spectral maps: the root mean square difference in standardised units.

    Parameters
    ----------
    valid : Tensor, shape (C, H, W), bool
        Cells that hold a coefficient (``data_prep.layout.find_valid_cells``). Other cells are
        ignored.
    deviation : Tensor, shape (C, H, W), optional
        Standard deviation of each coefficient over the training split, for maps in their own units.
        Leave it out for standardised maps.

    Returns
    -------
    callable
        Function of two batches of maps (P, C, H, W) that returns distances (P,), at least 0. For
        independent standardised noise it returns about 1.41.

    Raises
    ------
    UserError
        If no cell is valid, or the deviation of a valid cell is not positive.

    Notes
    -----
    sqrt(mean over valid cells of ((a - b) / deviation)^2), computed in the dtype of the maps.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import make_rms_distance
    >>> distance = make_rms_distance(torch.ones(1, 2, 2, dtype=torch.bool))
    >>> distance(torch.zeros(3, 1, 2, 2), torch.full((3, 1, 2, 2), 2.0)).tolist()
    [2.0, 2.0, 2.0]
    """
    if not valid.any():
        raise UserError("cells that hold a coefficient", "none", "give maps of coefficients")
    scale = torch.ones(valid.shape) if deviation is None else deviation
    if scale.shape != valid.shape or not (scale[valid] > 0).all():
        raise UserError("deviations of the coefficients", "not positive or of another shape", "give those of the file")

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return ((first - second) / scale)[:, valid].square().mean(dim=1).sqrt()

    return distance
