"""The reconstruction error: the weighted distance of each prediction from its target.

For a prediction y of a target t with weights w, summed over the values i of a sample's map::

    E(y) = sum_i w_i |y_i - t_i| / sum_i w_i      or      sum_i w_i (y_i - t_i)^2 / sum_i w_i

For images, an error at several scales or of the structure can be added to the absolute error
(``multi_scale``)::

    E(y) + Lap1(y, t)      or      E(y) - log((1 + SSIM(y, t)) / 2) / 2

Letters in shapes: B batch, N samples, K predictions for each, C channels, H, W.
"""

from typing import Literal

import torch
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.losses.multi_scale import LEAST_SIDE, laplacian_error, structure_error
from pretext.numerics import to_full_precision
from spectral_ssl.ground.errors import UserError

Loss = Literal["l1", "l2", "pyramid", "ssim"]
STRUCTURE_WEIGHT = 0.5  # makes the error of the structure of blurred predictions about as large as their absolute one


def sample_error(prediction: Tensor, example: Example, loss: Loss = "l1", problem: Problem | None = None) -> Tensor:
    """Compute E(y) of each sample, and add the task's extra term if there is one.

    Parameters
    ----------
    prediction : Tensor, shape (B, C', H, W)
        Output of the network.
    example : Example
        Targets and weights, each (B, C', H, W); no sample's weights may all be 0.
    loss : {"l1", "l2", "pyramid", "ssim"}
        Absolute or squared differences, or absolute ones and those of the bands of a Laplacian
        pyramid, or absolute ones and those of the structure. The last two are for maps that
        ``check_loss`` accepts.
    problem : Problem, optional
        The task's problem, whose ``extra_error`` is added if it has one.

    Returns
    -------
    Tensor, shape (B,)
        A sample's error depends on that sample alone; it is at least 0.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Example
    >>> from pretext.losses import sample_error
    >>> target, weight = torch.zeros(2, 1, 1, 2), torch.tensor([1.0, 0.0]).expand(2, 1, 1, 2)
    >>> prediction = torch.tensor([[2.0, 5.0], [-3.0, 5.0]]).view(2, 1, 1, 2)
    >>> sample_error(prediction, Example(target, target, weight), "l2")
    tensor([4., 9.])
    """
    # The target too may be a prediction of 16 bits, in cGML's Lipschitz term.
    prediction, target = to_full_precision(prediction), to_full_precision(example.target)
    difference = prediction - target
    distance = difference.square() if loss == "l2" else difference.abs()
    error = (distance * example.weight).flatten(1).sum(dim=1) / example.weight.flatten(1).sum(dim=1)
    if loss == "pyramid":
        error = error + laplacian_error(difference, example.weight)
    elif loss == "ssim":
        error = error + STRUCTURE_WEIGHT * structure_error(prediction, target, example.weight)
    if problem is not None and problem.extra_error is not None:
        error = error + problem.extra_error(prediction, example)
    return error


def check_loss(loss: Loss, problem: Problem, setting: str = "method.loss") -> None:
    """Check that a method can be trained with an error on a task's maps.

    Parameters
    ----------
    loss : {"l1", "l2", "pyramid", "ssim"}
        The error.
    problem : Problem
        The task's problem.
    setting : str, optional
        Name of the setting, for the message.

    Raises
    ------
    UserError
        When "pyramid" or "ssim" is asked for targets that are not images of at least 8 x 8 pixels.

    Examples
    --------
    >>> from pretext.data import Problem
    >>> from pretext.losses import check_loss
    >>> check_loss("ssim", Problem(condition=(3, 64, 64), target=(3, 64, 64), bounded=True))
    """
    if loss in {"l1", "l2"}:
        return
    side = min(problem.target[1:])
    if not problem.bounded or side < LEAST_SIDE:
        kind = (
            f"images of {side} pixels"
            if problem.bounded
            else f"targets of {' x '.join(map(str, problem.target))} that are no images"
        )
        raise UserError(
            f"{setting}={loss} is for images of at least {LEAST_SIDE} x {LEAST_SIDE} pixels", kind, f"set {setting}=l1"
        )


def compose(example: Example, predictions: Tensor) -> Tensor:
    """Replace the values of weight 0 in predictions by those of the condition.

    When a hole is completed, the image outside it is known, and the network was not trained to
    predict it.

    Parameters
    ----------
    example : Example
        Conditions and weights, each (N, C, H, W).
    predictions : Tensor, shape (N, K, C, H, W)
        K predictions for each condition.

    Returns
    -------
    Tensor, shape (N, K, C, H, W)
        The predictions unchanged if conditions and targets differ in shape.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Example
    >>> from pretext.losses import compose
    >>> image, weight = torch.ones(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    >>> example = Example(condition=image * (1 - weight), target=image, weight=weight)
    >>> compose(example, torch.full((1, 1, 1, 1, 2), 5.0)).flatten()
    tensor([5., 1.])
    """
    if example.condition.shape != example.target.shape:
        return predictions
    return torch.where(example.weight[:, None] > 0, predictions, example.condition[:, None])
