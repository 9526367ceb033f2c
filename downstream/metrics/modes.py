"""Score predictions where all correct predictions (modes) for a condition are known.

This holds for the toys and for images with a mark. ``summarise_path`` describes latent
optimisation.

Letters in shapes: B or N conditions, K predictions for each, J modes, C x H x W values of an image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pretext.data.batch import Example
from pretext.losses.reconstruction import sample_error
from pretext.methods.cgml.latent_path import InferredPath


@dataclass(frozen=True)
class ModeScores:
    """Distribution of predictions over known modes.

    Modes of a condition are "separate" if the distance of any two is more than twice ``radius``.

    Attributes
    ----------
    within : float
        Share of the predictions within ``radius`` of a mode.
    phantom : float
        Share of the predictions that are farther than ``radius`` from every mode and nearer to the
        mean of the modes than to any mode (the phantom distribution in figure 3 of the cGML paper).
    shares : tuple of float
        Share of the predictions whose nearest mode is the j-th, over conditions with separate
        modes.
    coverage : float
        Share of the conditions with separate modes in which every mode has a prediction within
        ``radius``.
    distance : float
        Mean distance of a prediction to its nearest mode.
    radius : float
        Largest distance from a mode at which a prediction counts as a hit.
    """

    within: float
    phantom: float
    shares: tuple[float, ...]
    coverage: float
    distance: float
    radius: float


def score_modes(predictions: Tensor, modes: Tensor, radius: float) -> ModeScores:
    """Compute how predictions are distributed over known modes.

    Parameters
    ----------
    predictions : Tensor, shape (B, K, ...)
        K predictions for each condition, of any shape after the first two dimensions.
    modes : Tensor, shape (B, J, ...)
        All J correct predictions for each condition.
    radius : float
        Euclidean distance within which a prediction hits a mode.

    Returns
    -------
    ModeScores
        Shares are from 0 to 1. ``shares`` and ``coverage`` are NaN if no condition has separate
        modes.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notes
    -----
    Distances are Euclidean, over all values of a prediction, and computed in float64.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import score_modes
    >>> modes = torch.tensor([[[1.0], [-1.0]]])
    >>> scores = score_modes(torch.tensor([[[1.1], [-1.0], [0.1], [1.0]]]), modes, radius=0.3)
    >>> scores.within, scores.phantom, scores.shares, scores.coverage
    (0.75, 0.25, (0.75, 0.25), 1.0)
    """
    if predictions.shape[0] != modes.shape[0] or predictions.shape[2:] != modes.shape[2:]:
        raise ValueError(f"predictions {tuple(predictions.shape)} and modes {tuple(modes.shape)} do not fit")
    flat_predictions, flat_modes = predictions.flatten(2).double(), modes.flatten(2).double()
    distances = (flat_predictions[:, :, None] - flat_modes[:, None]).norm(dim=-1)  # (B, K, J)
    nearest, nearest_mode = distances.min(dim=2)  # (B, K) each
    to_mean = (flat_predictions - flat_modes.mean(dim=1, keepdim=True)).norm(dim=-1)  # (B, K)
    between = (flat_modes[:, :, None] - flat_modes[:, None]).norm(dim=-1)  # (B, J, J)
    count = modes.shape[1]
    closest = (between + 1e9 * torch.eye(count, dtype=torch.float64)).amin(dim=(1, 2))
    is_separate = closest > 2 * radius  # (B,)
    hits = (distances <= radius)[is_separate].any(dim=1)  # (B', J)
    return ModeScores(
        within=(nearest <= radius).double().mean().item(),
        phantom=((nearest > radius) & (to_mean < nearest)).double().mean().item(),
        shares=tuple((nearest_mode[is_separate] == mode).double().mean().item() for mode in range(count)),
        coverage=hits.all(dim=1).double().mean().item(),
        distance=nearest.mean().item(),
        radius=radius,
    )


@dataclass(frozen=True)
class PathSummary:
    """Summary of the latent optimisation at inference.

    Attributes
    ----------
    rho : tuple of float
        Mean predicted length of each step.
    converged : float
        Share of the latents that converged before the last step (``method.tolerance``).
    steps : float
        Mean number of steps.
    moved : float
        Mean distance from the first to the last latent.
    """

    rho: tuple[float, ...]
    converged: float
    steps: float
    moved: float


def summarise_path(path: InferredPath) -> PathSummary:
    """Compute the means over the latent paths of one inference.

    Parameters
    ----------
    path : InferredPath
        T steps of K latents for each of B conditions.

    Returns
    -------
    PathSummary
        Means over all latents.

    Examples
    --------
    >>> latents = torch.tensor([0.0, 1.0, 3.0]).reshape(3, 1, 1, 1)
    >>> path = InferredPath(latents, rho=torch.ones(2, 1, 1), steps=torch.tensor([[2]]))
    >>> summarise_path(path)
    PathSummary(rho=(1.0, 1.0), converged=0.0, steps=2.0, moved=3.0)
    """
    return PathSummary(
        rho=tuple(path.rho.mean(dim=(1, 2)).tolist()),
        converged=(path.steps < len(path.rho)).double().mean().item(),
        steps=path.steps.double().mean().item(),
        moved=(path.latents[-1] - path.latents[0]).norm(dim=-1).mean().item(),
    )


HIT_BELOW = 0.3  # Mean absolute difference over the pixels of the mark (range 2) below which a mode is hit.


def score_marks(clean: Tensor, predictions: Tensor, mark: Tensor) -> dict[str, float]:
    """Compute the shares of the predictions with and without a white mark.

    Parameters
    ----------
    clean : Tensor, shape (N, C, H, W)
        Images in [-1, 1] without a mark (targets of the task ``alternate`` at rate 0).
    predictions : Tensor, shape (N, K, C, H, W)
        K predictions for each image.
    mark : Tensor, shape (1, 1, H, W), bool
        Pixels of the mark.

    Returns
    -------
    dict of str to float
        Shares from 0 to 1. ``with the mark``: predictions that differ from white by less than 0.3
        (mean absolute difference over the pixels of the mark). ``without``: predictions that differ
        from the clean image by less than 0.3 there. ``between``: all other predictions.
        ``both found``: conditions with predictions of both kinds. A clean image that is white there
        counts as with the mark.

    Examples
    --------
    >>> clean, mark = -torch.ones(1, 1, 2, 2), torch.tensor([[[[True, False], [False, False]]]])
    >>> predictions = clean[:, None].repeat(1, 2, 1, 1, 1)
    >>> predictions[0, 0, 0, 0, 0] = 1.0
    >>> score_marks(clean, predictions, mark)
    {'with the mark': 0.5, 'without': 0.5, 'between': 0.0, 'both found': 1.0}
    """
    pixels = mark.expand_as(clean)[0]  # (C, H, W)
    inside = predictions[:, :, pixels]  # (N, K, pixels)
    has_mark = (inside - 1).abs().mean(dim=2) < HIT_BELOW  # (N, K)
    is_clean = ((inside - clean[:, pixels][:, None]).abs().mean(dim=2) < HIT_BELOW) & ~has_mark
    return {
        "with the mark": has_mark.double().mean().item(),
        "without": is_clean.double().mean().item(),
        "between": (~has_mark & ~is_clean).double().mean().item(),
        "both found": (has_mark.any(dim=1) & is_clean.any(dim=1)).double().mean().item(),
    }


def score_clean_mode(example: Example, predictions: Tensor, wrong: Tensor) -> dict[str, float]:
    """Compute how often predictions are nearer to the right target than to any wrong one.

    Parameters
    ----------
    example : Example
        N right targets with weights, each (N, C, H, W).
    predictions : Tensor, shape (N, K, C, H, W)
        K predictions for each condition.
    wrong : Tensor, shape (N, J, C, H, W)
        J wrong targets of each. One that equals the right target where the weight is above 0 does not
        count.

    Returns
    -------
    dict of str to float
        Shares from 0 to 1. ``clean``: predictions at most as far from the right target as from every
        wrong one (weighted mean absolute difference). ``mostly clean``: conditions with more than
        half of such predictions.

    Examples
    --------
    >>> target = torch.zeros(1, 1, 1, 1)
    >>> example = Example(target, target, torch.ones_like(target))
    >>> score_clean_mode(example, torch.tensor([0.1, 0.4, 0.9]).view(1, 3, 1, 1, 1), torch.ones(1, 1, 1, 1, 1))
    {'clean': 0.6666666666666666, 'mostly clean': 1.0}
    """
    is_clean = []
    for sample in predictions.unbind(1):
        to_right = sample_error(sample, example)  # (N,)
        to_wrong = torch.stack([sample_error(sample, example._replace(target=each)) for each in wrong.unbind(1)])
        is_clean.append((to_right <= to_wrong).all(dim=0))
    clean = torch.stack(is_clean, dim=1).double()  # (N, K)
    return {"clean": clean.mean().item(), "mostly clean": (clean.mean(dim=1) > 0.5).double().mean().item()}
