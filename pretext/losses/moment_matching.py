"""Moment losses: the statistics of several samples for one condition (MR-GAN).

A reconstruction loss pulls every sample towards the target, and so drives the variance of the
samples to zero. A moment loss only requires that the mean (or median) and the spread of K samples
y_1 .. y_K match those of the data. There are eight variants, {gaussian, laplace} x {mr, proxy-mr} x
{1, 2} moments. Source: Lee, Ha and Kim, *Harmonizing Maximum Likelihood with GANs for Multimodal
Conditional Generation*, ICLR 2019, section 4 and appendix A. The target is y; the centre and the
dispersion that a predictor gives carry a hat::

    gaussian   mu = mean of y_k,    s2 = sum (y_k - mu)^2 / (K - 1)
    laplace    m  = median of y_k,  b  = mean |y_k - m|,  a = mean of y_k

    gaussian-mr1         (y - mu)^2                       laplace-mr1         |t - a|
    gaussian-mr2         N(mu, s2; y)                     laplace-mr2         L(a, b; t)
    gaussian-proxy-mr1   (mu - mu^)^2                     laplace-proxy-mr1   (t^ - a)^2
    gaussian-proxy-mr2   (mu - mu^)^2, (s2 - s2^)^2       laplace-proxy-mr2   (t^ - a)^2, (b - b^)^2

    N(mu, s2; y) = (((y - mu)^2 + c) / s2 + log s2) / 2
    L(m, b; y) = (|y - m| + c) / b + log b

With few samples the best spread of the likelihood is larger than that of the data: the mean of 1 /
s2 over draws of K Gaussian samples is (K - 1) / (K - 3) times the inverse variance, and the best
variance exceeds the data's by that factor.

The median trick: the gradient of a median reaches a single sample. So the mean a replaces it, and
the target moves by the same amount and carries no gradient, t = y - m + a (for a predictor:
t^ = m^ - m + a). The loss then has the value of the median's, and its gradient reaches all samples
evenly.

N and L take the logarithms of dispersions (s2, b), as in the paper; 1e-9 is added to those of
samples first. The median of an even number of samples is the lower one of the middle two, as in the
authors' code. It lies below the true median on average, by half the distance of the two.

All means are over the values of a sample's map, with the task's weights (of an image with a hole,
only the hole may count), and then over the batch.

Letters in shapes: B batch, K samples, C, H, W of the maps.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spectral_ssl.ground.errors import unknown_name

Family = Literal["gaussian", "laplace"]
SMALLEST = 1e-9  # added to the dispersion of samples, which may all be equal


class Variant(NamedTuple):
    """One of the eight variants.

    Attributes
    ----------
    family : {"gaussian", "laplace"}
        Which moments are compared: mean and variance, or median and mean absolute deviation from
        it.
    proxy : bool
        Whether the samples are compared with a predictor's moments, and not with the target itself.
    moments : {1, 2}
        1 for the centre alone, 2 for centre and dispersion.

    Examples
    --------
    >>> from pretext.losses import Variant, find_variant
    >>> find_variant("laplace-proxy-mr2") == Variant("laplace", proxy=True, moments=2)
    True
    """

    family: Family
    proxy: bool
    moments: int


VARIANTS: dict[str, Variant] = {
    f"{family}-{'proxy-' if proxy else ''}mr{moments}": Variant(family, proxy, moments)
    for family in ("gaussian", "laplace")
    for proxy in (False, True)
    for moments in (1, 2)
}


def find_variant(name: str) -> Variant:
    """Return the variant of a name, or raise a UserError that suggests the most similar name.

    Examples
    --------
    >>> from pretext.losses import find_variant
    >>> find_variant("gaussian-mr1")
    Variant(family='gaussian', proxy=False, moments=1)
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]


class Moments(NamedTuple):
    """Centre and dispersion, each (B, C, H, W).

    They are mean and variance, or median and mean absolute deviation.
    """

    centre: Tensor
    dispersion: Tensor


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean over each sample's map, and then the mean over the batch.

    Parameters
    ----------
    values, weight : Tensor, shape (B, C, H, W)
        Values and weights; no sample's weights may all be 0, as in
        ``pretext.losses.reconstruction``.

    Returns
    -------
    Tensor, a scalar
    """
    means = (values * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1)  # (B,)
    return means.mean()


def gaussian_likelihood(mean: Tensor, log_variance: Tensor, target: Tensor, weight: Tensor, slack: float) -> Tensor:
    """Compute the negative log likelihood of a Gaussian, without its constant.

    This is N(mean, exp(log_variance); target).

    Parameters
    ----------
    mean, log_variance, target, weight : Tensor, shape (B, C, H, W)
        The Gaussian of each value, its target and its weight.
    slack : float
        The constant c added to the squared errors: the best variance is the mean of (target -
        mean)^2 + c, at least c.

    Returns
    -------
    Tensor, a scalar

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import gaussian_likelihood
    >>> centre, log_dispersion = torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> target, weight = torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1)
    >>> gaussian_likelihood(centre, log_dispersion, target, weight, slack=0.0)
    tensor(2.)
    """
    squared = (target - mean).square() + slack
    return weighted_mean((squared * torch.exp(-log_variance) + log_variance) / 2, weight)


def laplace_likelihood(median: Tensor, log_deviation: Tensor, target: Tensor, weight: Tensor, slack: float) -> Tensor:
    """Compute the negative log likelihood of a Laplace distribution, without its constant.

    This is L(median, exp(log_deviation); target).

    Parameters
    ----------
    median, log_deviation, target, weight : Tensor, shape (B, C, H, W)
        The distribution of each value, its target and its weight.
    slack : float
        The constant c added to the absolute errors.

    Returns
    -------
    Tensor, a scalar

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import laplace_likelihood
    >>> centre, log_dispersion = torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> target, weight = torch.full((1, 1, 1, 1), 2.0), torch.ones(1, 1, 1, 1)
    >>> laplace_likelihood(centre, log_dispersion, target, weight, slack=0.0)
    tensor(2.)
    """
    absolute = (target - median).abs() + slack
    return weighted_mean(absolute * torch.exp(-log_deviation) + log_deviation, weight)


def likelihood(
    family: Family, centre: Tensor, log_dispersion: Tensor, target: Tensor, weight: Tensor, slack: float
) -> Tensor:
    """Compute ``gaussian_likelihood`` or ``laplace_likelihood``, the loss of a predictor."""
    function = gaussian_likelihood if family == "gaussian" else laplace_likelihood
    return function(centre, log_dispersion, target, weight, slack)


def gaussian_moments(samples: Tensor) -> Moments:
    """Compute mean and unbiased variance of samples (B, K, C, H, W); the variance is 0 if K = 1."""
    mean = samples.mean(dim=1)
    squares = (samples - mean[:, None]).square().sum(dim=1)
    return Moments(mean, squares / max(samples.shape[1] - 1, 1))


def sample_median(samples: Tensor) -> Tensor:
    """Compute the median of samples (B, K, C, H, W); the lower one of the middle two if K is even."""
    return samples.sort(dim=1).values[:, (samples.shape[1] - 1) // 2]


def laplace_moments(samples: Tensor) -> Moments:
    """Compute the median of samples (B, K, C, H, W) and their mean absolute deviation from it."""
    median = sample_median(samples)
    return Moments(median, (samples - median[:, None]).abs().mean(dim=1))


def sample_moments(family: Family, samples: Tensor) -> Moments:
    """Compute ``gaussian_moments`` or ``laplace_moments`` of samples (B, K, C, H, W).

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import sample_moments
    >>> samples = torch.tensor([0.0, 1.0, 5.0]).view(1, 3, 1, 1, 1)
    >>> gaussian, laplace = sample_moments("gaussian", samples), sample_moments("laplace", samples)
    >>> gaussian.centre.item(), gaussian.dispersion.item()  # mean and variance
    (2.0, 7.0)
    >>> laplace.centre.item(), round(laplace.dispersion.item(), 4)  # median and deviation
    (1.0, 1.6667)
    """
    return gaussian_moments(samples) if family == "gaussian" else laplace_moments(samples)


def thin_gradient(graded: Tensor, rest: Tensor) -> Tensor:
    """Join K samples of which only k require gradients, and multiply these gradients by K/k.

    The samples of a condition have the same distribution. So the mean of the gradient over draws is
    that of all K samples, whichever k are taken.

    Parameters
    ----------
    graded : Tensor, shape (B, k, C, H, W)
        Samples with a graph.
    rest : Tensor, shape (B, K - k, C, H, W)
        Samples without a graph.

    Returns
    -------
    Tensor, shape (B, K, C, H, W)
        All samples, ``graded`` first.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import thin_gradient
    >>> graded = torch.zeros(1, 1, 1, 1, 1, requires_grad=True)
    >>> samples = thin_gradient(graded, torch.zeros(1, 3, 1, 1, 1))
    >>> samples.sum().backward()
    >>> samples.shape[1], graded.grad.item()  # 1 of 4 samples stands for all of them
    (4, 4.0)
    """
    share = (graded.shape[1] + rest.shape[1]) / graded.shape[1]
    passed = graded.view_as(graded)  # a hook on ``graded`` itself would change its other gradients too
    if passed.requires_grad:
        passed.register_hook(lambda gradient: gradient * share)
    return torch.cat([passed, rest], dim=1)


class MomentLosses(NamedTuple):
    """The two terms of a variant, scalars: of the centre and of the dispersion.

    The variants mr2 without proxy have a single likelihood: it is ``centre``, and ``dispersion`` is
    0.
    """

    centre: Tensor
    dispersion: Tensor


def moment_losses(
    variant: Variant,
    samples: Tensor,
    weight: Tensor,
    *,
    target: Tensor | None = None,
    predicted: Moments | None = None,
    slack: float = 0.0,
) -> MomentLosses:
    """Compute the losses of a variant for the samples of a batch.

    Parameters
    ----------
    variant : Variant
        One of ``VARIANTS``.
    samples : Tensor, shape (B, K, C, H, W), floating
        Samples of the generator; gradients reach all K evenly.
    weight : Tensor, shape (B, C, H, W)
        Weight of each value; values of weight 0 are ignored.
    target : Tensor, shape (B, C, H, W), optional
        The target y, for the variants without proxy.
    predicted : Moments, optional
        The predictor's centre and dispersion (not its logarithm), for the variants with proxy.
    slack : float
        The constant c of the likelihoods.

    Returns
    -------
    MomentLosses

    Raises
    ------
    ValueError
        If the target or the predicted moments are missing, or K = 1 and the variant has two
        moments.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import find_variant, moment_losses
    >>> samples = torch.tensor([0.0, 4.0]).view(1, 2, 1, 1, 1)  # their mean is 2
    >>> target, weight = torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1, 1)
    >>> moment_losses(find_variant("gaussian-mr1"), samples, weight, target=target).centre
    tensor(1.)
    """
    family, proxy, moments = variant
    reference = predicted if proxy else target
    if reference is None:
        raise ValueError(f"the variant needs {'predicted moments' if proxy else 'the target'}")
    if moments == 2 and samples.shape[1] < 2:
        raise ValueError("one sample has no second moment")
    statistics = sample_moments(family, samples)
    zero = samples.new_zeros(())
    centre = statistics.centre if family == "gaussian" else samples.mean(dim=1)
    if predicted is not None and proxy:
        goal = predicted.centre if family == "gaussian" else (predicted.centre - statistics.centre + centre).detach()
        of_centre = weighted_mean((centre - goal).square(), weight)
        if moments == 1:
            return MomentLosses(of_centre, zero)
        return MomentLosses(of_centre, weighted_mean((statistics.dispersion - predicted.dispersion).square(), weight))
    assert target is not None
    goal = target if family == "gaussian" else (target - statistics.centre + centre).detach()
    if moments == 2:
        log_dispersion = torch.log(statistics.dispersion + SMALLEST)
        return MomentLosses(likelihood(family, centre, log_dispersion, goal, weight, slack), zero)
    difference = goal - centre
    distance = difference.square() if family == "gaussian" else difference.abs()
    return MomentLosses(weighted_mean(distance, weight), zero)
