"""How different the answers to one input are: the mean distance of random pairs of them.

J.-Y. Zhu et al., *Toward Multimodal Image-to-Image Translation*, NeurIPS 2017, measured it with LPIPS; the cGML paper
takes 10 pairs of 20 answers. High diversity alone is worth nothing: noise has more of it than any right answers.
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
ANSWERS = 20

Distance = Callable[[Tensor, Tensor], Tensor]


def answer_diversity(
    answers: Tensor, distance: Distance, generator: torch.Generator, pairs: int = PAIRS
) -> NDArray[np.float64]:
    """Mean distance of random pairs of the answers to each input.

    Parameters
    ----------
    answers : Tensor, shape (N, K, C, H, W), floating
        K answers to each of N inputs.
    distance : callable
        Two batches (P, C, H, W) to the distance of each pair (P,): ``perceptual`` or ``root_mean_square``.
    generator : torch.Generator
        Draws the pairs, other ones for every input.
    pairs : int
        Pairs for each input, no pair twice; all of them where K (K - 1) / 2 is not more.

    Returns
    -------
    ndarray, shape (N,), float64
        One number an input; 0 where all its answers are equal.

    Raises
    ------
    UserError
        When there is another shape, fewer than two answers or no pair, or a value is not finite.
    """
    if answers.ndim != 5 or 0 in answers.shape:
        raise UserError("shape of the answers", tuple(answers.shape), "give (N, K, C, H, W), none of them 0")
    count = answers.shape[1]
    if count < 2:
        raise UserError("too few answers for their diversity", count, f"give at least 2 to each input, e.g. {ANSWERS}")
    check_range("number of pairs", pairs, 1, np.inf)
    if not answers.isfinite().all():
        raise UserError("answers that are not finite", "NaN or infinity", "train again with a lower learning rate")
    every_pair = torch.combinations(torch.arange(count))  # (K (K - 1) / 2, 2)
    means = []
    for own in answers:
        chosen = every_pair[torch.randperm(len(every_pair), generator=generator)[:pairs]]
        means.append(float(distance(own[chosen[:, 0]], own[chosen[:, 1]]).double().mean()))
    return np.asarray(means)


def perceptual(network: PerceptualDistance) -> Distance:
    """The distance for images in [-1, 1]: ST-LPIPS or LPIPS, see ``downstream.metrics.lpips``."""
    return lambda first, second: perceptual_distances(network, first, second)


def root_mean_square(valid: Tensor, deviation: Tensor | None = None) -> Distance:
    """The distance for spectral maps: the root mean square of their differences in standardised units.

    Parameters
    ----------
    valid : Tensor, shape (C, H, W), bool
        The cells that hold a coefficient (``data_prep.layout.valid_cells``); only these count.
    deviation : Tensor, shape (C, H, W), optional
        Of each coefficient over the training split, for maps in their own units; not given for standardised maps.

    Returns
    -------
    callable
        Maps (P, C, H, W) twice to (P,). For independent standardised noise it gives about 1.41.

    Raises
    ------
    UserError
        When no cell is valid, or a deviation there is not positive.
    """
    if not valid.any():
        raise UserError("cells that hold a coefficient", "none", "give maps of coefficients")
    scale = torch.ones(valid.shape) if deviation is None else deviation
    if scale.shape != valid.shape or not (scale[valid] > 0).all():
        raise UserError("deviations of the coefficients", "not positive or of another shape", "give those of the file")

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return ((first - second) / scale)[:, valid].square().mean(dim=1).sqrt()

    return distance
