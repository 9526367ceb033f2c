"""Where answers lie among the modes, when all right answers to a question are known (made problems, tests).

Letters in shapes: B conditions, K answers to each, J modes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pretext.methods.cgml.latent_path import InferredPath
from pretext.tasks.alternate import MARKS, AlternateConfig, rectangle


@dataclass(frozen=True)
class ModeReport:
    """How answers spread over known modes.

    Attributes
    ----------
    within : float
        Share of the answers within ``radius`` of a mode.
    phantom : float
        Share of the answers that lie farther than ``radius`` from every mode and nearer to the middle of the modes
        than to any of them (the phantom distribution of the paper's figure 3).
    shares : tuple of float
        Of the answers to conditions whose modes are apart, the share whose nearest mode is the j-th.
    coverage : float
        Of those conditions, the share for which every mode is hit by at least one answer.
    distance : float
        Mean distance to the nearest mode.
    radius : float
        What counts as a hit.
    """

    within: float
    phantom: float
    shares: tuple[float, ...]
    coverage: float
    distance: float
    radius: float


def mode_report(answers: Tensor, modes: Tensor, radius: float) -> ModeReport:
    """Compare answers with the modes.

    Parameters
    ----------
    answers : Tensor, shape (B, K, ...)
        Of any shape after the first two dimensions.
    modes : Tensor, shape (B, J, ...)
        All right answers.
    radius : float
        Euclidean distance within which an answer counts as a mode. Modes are apart when they are farther from each
        other than twice this.

    Returns
    -------
    ModeReport
        Shares and coverage are NaN where no condition has modes that are apart.

    Raises
    ------
    ValueError
        When the shapes do not fit.
    """
    if answers.shape[0] != modes.shape[0] or answers.shape[2:] != modes.shape[2:]:
        raise ValueError(f"answers {tuple(answers.shape)} and modes {tuple(modes.shape)} do not fit")
    flat_answers, flat_modes = answers.flatten(2).double(), modes.flatten(2).double()
    distances = (flat_answers[:, :, None] - flat_modes[:, None]).norm(dim=-1)  # (B, K, J)
    nearest, which = distances.min(dim=2)  # (B, K) each
    to_middle = (flat_answers - flat_modes.mean(dim=1, keepdim=True)).norm(dim=-1)  # (B, K)
    between = (flat_modes[:, :, None] - flat_modes[:, None]).norm(dim=-1)  # (B, J, J)
    count = modes.shape[1]
    closest = (between + 1e9 * torch.eye(count, dtype=torch.float64)).amin(dim=(1, 2))
    apart = closest > 2 * radius  # (B,)
    hits = (distances <= radius)[apart].any(dim=1)  # (B', J)
    return ModeReport(
        within=(nearest <= radius).double().mean().item(),
        phantom=((nearest > radius) & (to_middle < nearest)).double().mean().item(),
        shares=tuple((which[apart] == mode).double().mean().item() for mode in range(count)),
        coverage=hits.all(dim=1).double().mean().item(),
        distance=nearest.mean().item(),
        radius=radius,
    )


@dataclass(frozen=True)
class PathReport:
    """How latents moved at inference.

    Attributes
    ----------
    rho : tuple of float
        Mean predicted length of each step.
    converged : float
        Share of the latents that stopped before the last step (``method.tolerance``).
    steps : float
        Mean number of steps taken.
    moved : float
        Mean distance from the first latent to the last.
    """

    rho: tuple[float, ...]
    converged: float
    steps: float
    moved: float


def path_report(path: InferredPath) -> PathReport:
    """Sum up the latent paths of one inference."""
    return PathReport(
        rho=tuple(path.rho.mean(dim=(1, 2)).tolist()),
        converged=(path.steps < len(path.rho)).double().mean().item(),
        steps=path.steps.double().mean().item(),
        moved=(path.latents[-1] - path.latents[0]).norm(dim=-1).mean().item(),
    )


NEAR = 0.3  # mean absolute difference in the mark's place, of a range of 2, that still counts as a mode


def mark_scores(clean: Tensor, answers: Tensor, config: AlternateConfig) -> dict[str, float]:
    """Shares of the answers with and without the mark.

    Parameters
    ----------
    clean : Tensor, shape (N, C, H, W)
        The images without any mark (targets of the task at rate 0).
    answers : Tensor, shape (N, K, C, H, W)
        K answers to each.
    config : AlternateConfig
        Says which mark.

    Returns
    -------
    dict of str to float
        ``with the mark``: share of the answers within 0.3 (mean absolute difference over the mark's pixels) of white;
        ``without``: within 0.3 of the clean image; ``between``: all others; ``both found``: share of the inputs with
        answers of both sorts. Images that are white there by themselves count as with the mark.
    """
    place = rectangle(MARKS[config.mark], *clean.shape[2:]).expand_as(clean)[0]  # (C, H, W)
    inside = answers[:, :, place]  # (N, K, pixels)
    marked = (inside - 1).abs().mean(dim=2) < NEAR  # (N, K)
    plain = ((inside - clean[:, place][:, None]).abs().mean(dim=2) < NEAR) & ~marked
    return {
        "with the mark": marked.double().mean().item(),
        "without": plain.double().mean().item(),
        "between": (~marked & ~plain).double().mean().item(),
        "both found": (marked.any(dim=1) & plain.any(dim=1)).double().mean().item(),
    }
