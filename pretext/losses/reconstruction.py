"""The reconstruction error: the weighted distance of each prediction from its target.

For a prediction y of a target t with weights w, summed over the values i of a sample's map::

    E(y) = sum_i w_i |y_i - t_i| / sum_i w_i      or      sum_i w_i (y_i - t_i)^2 / sum_i w_i

Letters in shapes: B batch, N samples, K predictions for each, C channels, H, W.
"""

from typing import Literal

import torch
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.numerics import to_full_precision

Loss = Literal["l1", "l2"]


def sample_error(prediction: Tensor, example: Example, loss: Loss = "l1", problem: Problem | None = None) -> Tensor:
    """Compute E(y) of each sample, and add the task's extra term if there is one.

    Parameters
    ----------
    prediction : Tensor, shape (B, C', H, W)
        Output of the network.
    example : Example
        Targets and weights, each (B, C', H, W); no sample's weights may all be 0.
    loss : {"l1", "l2"}
        Absolute or squared differences.
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
    difference = to_full_precision(prediction) - example.target
    distance = difference.abs() if loss == "l1" else difference.square()
    error = (distance * example.weight).flatten(1).sum(dim=1) / example.weight.flatten(1).sum(dim=1)
    if problem is not None and problem.extra_error is not None:
        error = error + problem.extra_error(prediction, example)
    return error


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
