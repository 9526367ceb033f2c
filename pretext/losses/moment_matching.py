"""Moment losses: several samples for one question are judged by their statistics, not one by one (MR-GAN, ICLR 2019).

A reconstruction loss asks every sample to be the target, and so drives their variance to zero. A moment loss asks only
that mean (or median) and spread of K samples y_1 .. y_K be those of the data. Eight variants, {gaussian, laplace} x
{mr, proxy-mr} x {1, 2} moments (Lee, Ha and Kim, *Harmonizing Maximum Likelihood with GANs for Multimodal Conditional
Generation*, ICLR 2019, section 4 and appendix A); the target is y, a predictor's centre and dispersion carry a hat::

    gaussian   mu = mean of y_k,    s2 = sum (y_k - mu)^2 / (K - 1)
    laplace    m  = median of y_k,  b  = mean |y_k - m|,  a = mean of y_k

    gaussian-mr1         (y - mu)^2                          laplace-mr1         |t - a|
    gaussian-mr2         N(mu, s2; y)                        laplace-mr2         L(a, b; t)
    gaussian-proxy-mr1   (mu - mu^)^2                        laplace-proxy-mr1   (t^ - a)^2
    gaussian-proxy-mr2   (mu - mu^)^2, (s2 - s2^)^2          laplace-proxy-mr2   (t^ - a)^2, (b - b^)^2

    N(mu, s2; y) = (((y - mu)^2 + c) / s2 + log s2) / 2      L(m, b; y) = (|y - m| + c) / b + log b

The likelihood of few samples' moments aims above the data's spread: the mean of 1 / s2 over draws of K Gaussian samples
is (K - 1) / (K - 3) of the inverse variance, and so is the best variance of that of the data.

The median trick: a median hands its gradient to one sample (two, where K is even) alone. So the mean a takes its place,
against a target that is moved along and carries no gradient, t = y - m + a (of a predictor: t^ = m^ - m + a): the value
is the median's, the gradient goes to all samples evenly.

Dispersions (s2, b) are handed to N and L as logarithms, as in the paper; those of samples have 1e-9 added first. The
median of an even number of samples is the mean of the middle two.

All means are over the values of each sample's own map, weighted as the task says (only the hole of a picture counts,
say), then over the batch. Letters in shapes: B batch, K samples, and any shape (C, H, W) after these.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from spectral_ssl.ground.errors import unknown_name

Family = Literal["gaussian", "laplace"]
SMALLEST = 1e-9  # added to the dispersion of samples, which may all be equal


class Variant(NamedTuple):
    """One of the eight.

    Attributes
    ----------
    family : {"gaussian", "laplace"}
        Whose moments: mean and variance, or median and mean absolute deviation from it.
    proxy : bool
        Against a predictor's moments, or against the target itself.
    moments : {1, 2}
        The centre alone, or the dispersion too.
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
    """The variant of that name. Raises a UserError that names the nearest one when there is none."""
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]


class Moments(NamedTuple):
    """Centre and dispersion, each (B, C, H, W): mean and variance, or median and mean absolute deviation."""

    centre: Tensor
    dispersion: Tensor


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of values (B, C, H, W) over each sample's map, weighted (B, C, H, W), and then over the batch: a scalar.

    As with ``pretext.losses.reconstruction`` no sample's weights may all be 0.
    """
    each = (values * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1)  # (B,)
    return each.mean()


def gaussian_likelihood(mean: Tensor, log_variance: Tensor, target: Tensor, weight: Tensor, slack: float) -> Tensor:
    """Negative log likelihood of a Gaussian without its constant, N(mean, exp(log_variance); target): a scalar.

    Parameters
    ----------
    mean, log_variance, target, weight : Tensor, shape (B, C, H, W)
    slack : float
        c, added to the squared errors: the best variance is the mean of (target - mean)^2 + c, so never below c.
    """
    squared = (target - mean).square() + slack
    return weighted_mean((squared * torch.exp(-log_variance) + log_variance) / 2, weight)


def laplace_likelihood(median: Tensor, log_deviation: Tensor, target: Tensor, weight: Tensor, slack: float) -> Tensor:
    """Negative log likelihood of a Laplace distribution without its constant, L(median, exp(log_deviation); target).

    Parameters
    ----------
    median, log_deviation, target, weight : Tensor, shape (B, C, H, W)
    slack : float
        c, added to the absolute errors.
    """
    absolute = (target - median).abs() + slack
    return weighted_mean(absolute * torch.exp(-log_deviation) + log_deviation, weight)


def likelihood(
    family: Family, centre: Tensor, log_dispersion: Tensor, target: Tensor, weight: Tensor, slack: float
) -> Tensor:
    """``gaussian_likelihood`` or ``laplace_likelihood``: what a predictor minimises."""
    function = gaussian_likelihood if family == "gaussian" else laplace_likelihood
    return function(centre, log_dispersion, target, weight, slack)


def gaussian_moments(samples: Tensor) -> Moments:
    """Mean and unbiased variance of samples (B, K, C, H, W); K = 1 has no variance and gives 0."""
    mean = samples.mean(dim=1)
    squares = (samples - mean[:, None]).square().sum(dim=1)
    return Moments(mean, squares / max(samples.shape[1] - 1, 1))


def sample_median(samples: Tensor) -> Tensor:
    """Median over K of samples (B, K, C, H, W): (B, C, H, W); the mean of the middle two where K is even."""
    count = samples.shape[1]
    ordered = samples.sort(dim=1).values
    return (ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2


def laplace_moments(samples: Tensor) -> Moments:
    """Median and mean absolute deviation from it of samples (B, K, C, H, W)."""
    median = sample_median(samples)
    return Moments(median, (samples - median[:, None]).abs().mean(dim=1))


def sample_moments(family: Family, samples: Tensor) -> Moments:
    """``gaussian_moments`` or ``laplace_moments`` of samples (B, K, C, H, W)."""
    return gaussian_moments(samples) if family == "gaussian" else laplace_moments(samples)


def thin_gradient(graded: Tensor, rest: Tensor) -> Tensor:
    """K samples of which k carry a gradient, for all of them: it is K/k times what a loss hands to them.

    The samples of a condition are drawn alike, so whichever k are taken, the mean of the gradient over draws is that of
    all K.

    Parameters
    ----------
    graded : Tensor, shape (B, k, C, H, W)
        Samples with a graph.
    rest : Tensor, shape (B, K - k, C, H, W)
        The others, without one.

    Returns
    -------
    Tensor, shape (B, K, C, H, W)
    """
    share = (graded.shape[1] + rest.shape[1]) / graded.shape[1]
    passed = graded.view_as(graded)  # a hook on the given tensor would act on whatever else is made of it
    if passed.requires_grad:
        passed.register_hook(lambda gradient: gradient * share)
    return torch.cat([passed, rest], dim=1)


class MomentLosses(NamedTuple):
    """The two terms of a variant, scalars: of the centre and of the dispersion.

    In the second moment of MR without proxy both are one likelihood: it is ``centre``, and ``dispersion`` is 0.
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
    """What a variant asks of the samples of a batch.

    Parameters
    ----------
    variant : Variant
        Which of the eight.
    samples : Tensor, shape (B, K, C, H, W), floating
        Answers of the generator; gradients reach all K evenly.
    weight : Tensor, shape (B, C, H, W)
        How much each value counts; statistics of values of weight 0 play no part.
    target : Tensor, shape (B, C, H, W), optional
        y, for the variants without proxy.
    predicted : Moments, optional
        The predictor's centre and dispersion (no logarithm), for those with.
    slack : float
        c of the likelihoods.

    Raises
    ------
    ValueError
        When what the variant needs is not given, or the second moment of a single sample is asked for.
    """
    family, proxy, moments = variant
    given = predicted if proxy else target
    if given is None:
        raise ValueError(f"the variant needs {'predicted moments' if proxy else 'the target'}")
    if moments == 2 and samples.shape[1] < 2:
        raise ValueError("one sample has no second moment")
    found = sample_moments(family, samples)
    nothing = samples.new_zeros(())
    centre = found.centre if family == "gaussian" else samples.mean(dim=1)
    if predicted is not None and proxy:
        wanted = predicted.centre if family == "gaussian" else (predicted.centre - found.centre + centre).detach()
        of_centre = weighted_mean((centre - wanted).square(), weight)
        if moments == 1:
            return MomentLosses(of_centre, nothing)
        return MomentLosses(of_centre, weighted_mean((found.dispersion - predicted.dispersion).square(), weight))
    assert target is not None
    wanted = target if family == "gaussian" else (target - found.centre + centre).detach()
    if moments == 2:
        log_dispersion = torch.log(found.dispersion + SMALLEST)
        return MomentLosses(likelihood(family, centre, log_dispersion, wanted, weight, slack), nothing)
    difference = wanted - centre
    distance = difference.square() if family == "gaussian" else difference.abs()
    return MomentLosses(weighted_mean(distance, weight), nothing)
