"""VICReg: variance, invariance and covariance of the embeddings of two views.

Source: Bardes, Ponce and LeCun, "VICReg: variance-invariance-covariance regularization for
self-supervised learning" (ICLR 2022). For the embeddings Z and Z' of n pairs of views, each (n,
d)::

    invariance   s(Z, Z') = 1/n sum_i |z_i - z'_i|^2 / d
    variance     v(Z) = 1/d sum_j max(0, 1 - sqrt(Var(z^j) + 1e-4))          Var with n - 1
    covariance   c(Z) = 1/d sum_{i != j} Cov(Z)_ij^2                         Cov with n - 1
    loss         lambda s(Z, Z') + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z'))

The paper's formula divides s by n alone and adds the two v. The authors' code divides s by n d and
halves the sum of the v. The paper's weights lambda, mu, nu = 25, 25, 1 belong to that code, and
these functions follow it.

Letters in shapes: B batch (n above), E dimensions of the embeddings (d above).
"""

import torch
from torch import Tensor

from pretext.numerics import full_precision

SMALLEST_VARIANCE = 1e-4  # added to the variance before its root, as in the authors' code


def vicreg_terms(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the three terms of the loss, without their weights.

    Parameters
    ----------
    first, second : Tensor, shape (B, E), floating
        Embeddings of the two views; B must be at least 2, or the variance is NaN.

    Returns
    -------
    invariance, variance, covariance : Tensor, scalars
        s(Z, Z'), (v(Z) + v(Z')) / 2 and c(Z) + c(Z'); each is at least 0.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import vicreg_terms
    >>> views = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    >>> invariance, variance, covariance = vicreg_terms(views, views)
    >>> 25 * invariance + 25 * variance + covariance  # the second dimension does not vary
    tensor(12.3750)
    """
    invariance = (first - second).square().mean()
    variance = (spread_shortfall(first) + spread_shortfall(second)) / 2
    return invariance, variance, off_diagonal_covariance(first) + off_diagonal_covariance(second)


def spread_shortfall(embeddings: Tensor) -> Tensor:
    """Compute v: by how much the standard deviations of the dimensions fall short of 1, on average.

    Parameters
    ----------
    embeddings : Tensor, shape (B, E), floating
        Embeddings of one view.

    Returns
    -------
    Tensor, a scalar
        Between 0 (all standard deviations are 1 or more) and 0.99 (all embeddings are equal).

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import spread_shortfall
    >>> spread_shortfall(torch.zeros(8, 3))  # all embeddings are equal
    tensor(0.9900)
    """
    return torch.relu(1 - (embeddings.var(dim=0) + SMALLEST_VARIANCE).sqrt()).mean()


def off_diagonal_covariance(embeddings: Tensor) -> Tensor:
    """Compute c: the sum of the squared covariances of different dimensions, divided by E.

    Parameters
    ----------
    embeddings : Tensor, shape (B, E), floating
        Embeddings of one view.

    Returns
    -------
    Tensor, a scalar
        0 if no two dimensions are correlated.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import off_diagonal_covariance
    >>> off_diagonal_covariance(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))  # both covariances are 2
    tensor(4.)
    """
    count, width = embeddings.shape
    centred = embeddings - embeddings.mean(dim=0)
    with full_precision(centred):
        covariance = centred.T @ centred / (count - 1)  # (E, E)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / width
