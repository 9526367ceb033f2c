"""Adversarial losses: the cross-entropy of a discriminator, and what its generator minimises.

D gives a logit for each map, or for each patch of it; sigmoid(logit) is the probability that the
map is real. Sources: Goodfellow et al., "Generative adversarial nets" (NeurIPS 2014) for the
minimax loss log(1 - D) and the non-saturating loss -log D; Isola et al., "Image-to-image
translation with conditional adversarial networks" (CVPR 2017) for D's loss divided by 2. All
logarithms are computed as softplus of the logits, which does not overflow::

    -log sigmoid(t) = softplus(-t),    -log(1 - sigmoid(t)) = softplus(t)

Letters in shapes: B batch, P patches, C channels, S side lengths.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pretext.data.batch import Example
from pretext.numerics import to_full_precision

GeneratorLoss = Literal["non-saturating", "minimax"]


def real_fake_cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """Compute the mean cross-entropy of real maps plus that of generated maps.

    Parameters
    ----------
    real, fake : Tensor, any shape, floating
        D's logits of real and of generated maps.

    Returns
    -------
    Tensor, a scalar
        mean -log D(real) + mean -log(1 - D(fake)); 2 log 2 if all logits are 0.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import real_fake_cross_entropy
    >>> undecided = torch.zeros(4, 9)
    >>> real_fake_cross_entropy(undecided, undecided)
    tensor(1.3863)
    """
    return functional.softplus(-to_full_precision(real)).mean() + functional.softplus(to_full_precision(fake)).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute half of ``real_fake_cross_entropy``, the loss of D in Isola et al. (2017).

    Parameters
    ----------
    real, fake : Tensor, shape (B, P), floating
        D's logits of real and of generated maps.

    Returns
    -------
    Tensor, a scalar

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import discriminator_loss, generator_loss
    >>> undecided = torch.zeros(4, 9)
    >>> discriminator_loss(undecided, undecided), generator_loss(undecided)
    (tensor(0.6931), tensor(0.6931))
    """
    return real_fake_cross_entropy(real, fake) / 2


def generator_loss(fake: Tensor, kind: GeneratorLoss = "non-saturating") -> Tensor:
    """Compute the loss of the generator.

    Parameters
    ----------
    fake : Tensor, any shape, floating
        D's logits of generated maps.
    kind : {"non-saturating", "minimax"}
        mean -log D, whose gradient is large where D is sure; or mean log(1 - D).

    Returns
    -------
    Tensor, a scalar

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import generator_loss
    >>> undecided = torch.zeros(4, 9)
    >>> generator_loss(undecided), generator_loss(undecided, "minimax")
    (tensor(0.6931), tensor(-0.6931))
    """
    if kind == "minimax":
        return -functional.softplus(to_full_precision(fake)).mean()
    return functional.softplus(-to_full_precision(fake)).mean()


def fill_from_target(prediction: Tensor, example: Example) -> Tensor:
    """Replace the values of weight 0 by those of the target, so that D ignores them.

    Weight 0 have the cells that hold no coefficient, and the values that a task leaves unchanged.

    Parameters
    ----------
    prediction : Tensor, shape (B, C, S, S)
        Generated maps.
    example : Example
        Targets and weights, each (B, C, S, S).

    Returns
    -------
    Tensor, shape (B, C, S, S)
        The maps to pass to D.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Example
    >>> from pretext.losses import fill_from_target
    >>> target, weight = torch.zeros(1, 1, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    >>> fill_from_target(torch.tensor([2.0, 5.0]).view(1, 1, 1, 2), Example(target, target, weight)).flatten()
    tensor([2., 0.])
    """
    return torch.where(example.weight > 0, prediction, example.target)
