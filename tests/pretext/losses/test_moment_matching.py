"""The eight moment losses: numbers worked out by hand, gradients, and what minimises them."""

import math
from itertools import combinations

import pytest
import torch
from made_up import seeded
from torch import Tensor

from pretext.losses import moment_matching as losses
from pretext.losses.moment_matching import VARIANTS, MomentLosses, Moments, Variant
from spectral_ssl.ground.errors import UserError

DTYPES = [torch.float32, torch.float64]


def column(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """One map of one value for each number: (1, K, 1, 1, 1)."""
    return torch.tensor(values, dtype=dtype).view(1, -1, 1, 1, 1)


def single(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=dtype)


def ask(name: str, samples: Tensor, **given: object) -> MomentLosses:
    weight = torch.ones_like(samples[:, 0])
    return losses.moment_losses(VARIANTS[name], samples, weight, **given)


def test_there_are_eight_and_a_misspelt_name_is_told_the_nearest() -> None:
    assert len(VARIANTS) == 8
    assert VARIANTS["gaussian-proxy-mr2"] == Variant("gaussian", True, 2)
    assert VARIANTS["laplace-mr1"] == Variant("laplace", False, 1)
    with pytest.raises(UserError, match="did you mean 'gaussian-proxy-mr2'"):
        losses.find_variant("gausian-proxy-mr2")


@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_worked_out_by_hand(dtype: torch.dtype) -> None:
    samples = column(1, 2, 6, 7, dtype=dtype)
    mean, variance = losses.gaussian_moments(samples)
    assert mean.item() == 4
    assert variance.item() == pytest.approx((9 + 4 + 4 + 9) / 3)
    median, deviation = losses.laplace_moments(samples)
    assert median.item() == 2  # the lower one of 2 and 6, as in the authors' code
    assert deviation.item() == pytest.approx((1 + 0 + 4 + 5) / 4)
    assert losses.sample_median(column(5, 1, 100, dtype=dtype)).item() == 5
    assert {part.dtype for part in (mean, variance, median, deviation)} == {dtype}
    alone = losses.gaussian_moments(column(3, dtype=dtype))
    assert (alone.centre.item(), alone.dispersion.item()) == (3, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_eight_losses_worked_out_by_hand(dtype: torch.dtype) -> None:
    samples, target = column(0, 1, 5, dtype=dtype), single(4, dtype)  # mean 2, variance 7, median 1, deviation 5/3
    predicted = Moments(single(3, dtype), single(2, dtype))
    assert ask("gaussian-mr1", samples, target=target).centre.item() == 4
    expected = ((4 + 0.5) / 7 + math.log(7)) / 2
    assert ask("gaussian-mr2", samples, target=target, slack=0.5).centre.item() == pytest.approx(expected)
    assert ask("laplace-mr1", samples, target=target).centre.item() == 3  # from the median 1, not from the mean 2
    expected = (3 + 0.5) / (5 / 3) + math.log(5 / 3)
    assert ask("laplace-mr2", samples, target=target, slack=0.5).centre.item() == pytest.approx(expected)
    for moments in (1, 2):
        first = ask(f"gaussian-proxy-mr{moments}", samples, predicted=predicted)
        assert first.centre.item() == 1
        assert first.dispersion.item() == (25 if moments == 2 else 0)
        first = ask(f"laplace-proxy-mr{moments}", samples, predicted=predicted)
        assert first.centre.item() == 4
        assert first.dispersion.item() == pytest.approx((1 / 3) ** 2 if moments == 2 else 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_only_what_has_weight_counts_and_maps_count_alike(name: str) -> None:
    samples = torch.randn(2, 5, 1, 3, 3, generator=seeded(1), dtype=torch.float64)
    target = torch.randn(2, 1, 3, 3, generator=seeded(2), dtype=torch.float64)
    predicted = Moments(target, target.abs() + 0.5)
    hole = torch.zeros(2, 1, 3, 3, dtype=torch.float64)
    hole[0, 0, 0, 0] = hole[1, 0, 1:, 1:] = 1.0
    given = {"target": target, "predicted": predicted, "slack": 0.1}
    whole = losses.moment_losses(VARIANTS[name], samples, hole, **given)
    other = torch.where(hole[:, None] > 0, samples, 77.0)
    assert losses.moment_losses(VARIANTS[name], other, hole, **given) == whole
    # a hole of one pixel counts as much as one of four, and the scale of the weights does not count
    parts = [
        losses.moment_losses(
            VARIANTS[name],
            samples[row : row + 1],
            7 * hole[row : row + 1],
            target=target[row : row + 1],
            predicted=Moments(*(part[row : row + 1] for part in predicted)),
            slack=0.1,
        )
        for row in range(2)
    ]
    for term in (0, 1):
        assert whole[term].item() == pytest.approx((parts[0][term] + parts[1][term]).item() / 2)


def total(name: str, samples: Tensor, target: Tensor) -> Tensor:
    centre, dispersion = ask(name, samples, target=target, predicted=Moments(target, target.square() + 0.3), slack=0.05)
    return centre + dispersion


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.startswith("gaussian")])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    samples = torch.randn(2, 4, 1, 2, 2, generator=seeded(3), dtype=torch.float64).requires_grad_()
    target = torch.randn(2, 1, 2, 2, generator=seeded(4), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: total(name, given, target), samples)


@pytest.mark.parametrize("family", ["gaussian", "laplace"])
def test_gradients_of_the_likelihoods_are_those_of_finite_differences(family: losses.Family) -> None:
    centre, spread = (torch.randn(2, 1, 2, 2, generator=seeded(seed), dtype=torch.float64) for seed in (5, 6))
    target, weight = torch.ones_like(centre), torch.rand(2, 1, 2, 2, generator=seeded(7), dtype=torch.float64)

    def loss(centre: Tensor, spread: Tensor) -> Tensor:
        return losses.likelihood(family, centre, spread, target, weight, 0.1)

    assert torch.autograd.gradcheck(loss, (centre.requires_grad_(), spread.requires_grad_()))


@pytest.mark.parametrize("name", ["laplace-mr1", "laplace-proxy-mr1"])
def test_the_median_trick_keeps_the_value_and_spreads_the_gradient_evenly(name: str) -> None:
    samples, target = column(0, 1, 5).requires_grad_(), single(4)
    loss = total(name, samples, target)
    (gradient,) = torch.autograd.grad(loss, samples)
    away = 3.0  # of the median from the target
    slope = 1.0 if name == "laplace-mr1" else 2 * away
    assert loss.item() == pytest.approx(away if name == "laplace-mr1" else away**2)
    torch.testing.assert_close(gradient.flatten(), torch.full((3,), -slope / 3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["laplace-mr2", "laplace-proxy-mr2"])
def test_gradients_of_the_second_laplace_moment(name: str) -> None:
    """The centre's part is even over the samples; the dispersion's is that of finite differences."""
    samples, target = column(0.0, 1.0, 5.0, 9.0), single(4.5)  # median 1, deviation (1 + 0 + 4 + 8) / 4 = 3.25
    (gradient,) = torch.autograd.grad(total(name, samples.requires_grad_(), target), samples)
    signs = torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64) / 4  # d deviation / d sample
    if name == "laplace-mr2":
        of_centre, of_deviation = -1 / 3.25, -(3.5 + 0.05) / 3.25**2 + 1 / 3.25
    else:
        of_centre, of_deviation = -2 * 3.5, 2 * (3.25 - (4.5**2 + 0.3))
    torch.testing.assert_close(gradient.flatten(), of_centre / 4 + of_deviation * signs, rtol=1e-6, atol=1e-9)


def minimise(name: str, draw: object, dtype: torch.dtype, predicted: Moments | None = None) -> Tensor:
    """Samples (1, 64, 1, 1, 1) after descending a loss over fresh targets, from a spread of 1 around 0."""
    samples = torch.randn(1, 64, 1, 1, 1, generator=seeded(8), dtype=dtype).requires_grad_()
    # the same samples answer a batch of 256 targets
    optimizer = torch.optim.Adam([samples], lr=0.05)
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 300)
        target = draw(seeded(step)).to(dtype)[:, None, None, None]
        many = samples.expand(len(target), -1, -1, -1, -1)
        centre, dispersion = ask(name, many, target=target, predicted=predicted)
        optimizer.zero_grad()
        (centre + dispersion).backward()
        optimizer.step()
    return samples.detach().flatten()


def normal(generator: torch.Generator) -> Tensor:
    return 2.0 + 0.5 * torch.randn(256, generator=generator)


def skewed(generator: torch.Generator) -> Tensor:
    """-log of a uniform number: median log 2, mean absolute deviation from it log 2, mean 1."""
    return -torch.log(1 - torch.rand(256, generator=generator))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_second_gaussian_moment_drives_the_spread_to_that_of_the_data(dtype: torch.dtype) -> None:
    samples = minimise("gaussian-mr2", normal, dtype)
    assert samples.mean().item() == pytest.approx(2.0, abs=0.05)
    assert samples.var().item() == pytest.approx(0.25, rel=0.1)
    predicted = Moments(single(2.0, dtype), single(0.25, dtype))
    samples = minimise("gaussian-proxy-mr2", normal, dtype, predicted)
    assert samples.mean().item() == pytest.approx(2.0, abs=1e-2)
    assert samples.var().item() == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("name", ["gaussian-mr1", "laplace-mr1", "gaussian-proxy-mr1", "laplace-proxy-mr1"])
def test_the_first_moment_alone_finds_the_centre_and_leaves_the_spread_as_it_is(name: str) -> None:
    """All samples get the same gradient, so that their differences stay: nothing holds them up, nothing pulls."""
    before = torch.randn(1, 64, 1, 1, 1, generator=seeded(8)).flatten()
    samples = minimise(name, normal, torch.float32, Moments(single(2.0, torch.float32), single(0.0, torch.float32)))
    centre = samples.mean() if name.startswith("gaussian") else losses.sample_median(samples.view(1, -1))[0]
    assert centre.item() == pytest.approx(2.0, abs=0.05)
    torch.testing.assert_close(samples - samples[0], before - before[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["gaussian-mr1", "laplace-mr1", "gaussian-proxy-mr1", "gaussian-mr2"])
def test_a_generator_of_noise_collapses_on_one_moment_and_not_on_two(name: str) -> None:
    """G(z) = a + b z: the mean of K samples varies by b^2 / K, which the first moment alone does not forgive."""
    weights = torch.tensor([1.7, 0.8], dtype=torch.float64).requires_grad_()
    predicted = Moments(single(2.0).expand(64, -1, -1, -1), single(0.25).expand(64, -1, -1, -1))
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for step in range(250):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 250)
        noise = torch.randn(64, 12, 1, 1, 1, generator=seeded(step), dtype=torch.float64)
        target = normal(seeded(1000 + step))[:64].double()[:, None, None, None]
        centre, dispersion = ask(name, weights[0] + weights[1] * noise, target=target, predicted=predicted)
        optimizer.zero_grad()
        (centre + dispersion).backward()
        optimizer.step()
    assert weights[0].item() == pytest.approx(2.0, abs=0.1)
    # of 12 samples 1 / s^2 is on average 11 / 9 of 1 / variance (inverse chi-squared), so that the best b^2 is too
    expected, tolerance = (0.5 * (11 / 9) ** 0.5, 0.07) if name == "gaussian-mr2" else (0.0, 0.05)
    assert abs(weights[1].item()) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_laplace_losses_find_median_and_mean_absolute_deviation(dtype: torch.dtype) -> None:
    samples = minimise("laplace-mr2", skewed, dtype)
    median, deviation = losses.laplace_moments(samples.view(1, -1, 1, 1, 1))
    assert median.item() == pytest.approx(math.log(2), abs=0.05)  # the mean would be 1
    assert deviation.item() == pytest.approx(math.log(2), rel=0.1)


def test_what_a_variant_needs_must_be_given() -> None:
    samples = column(1, 2)
    with pytest.raises(ValueError, match="predicted"):
        ask("gaussian-proxy-mr1", samples, target=single(1))
    with pytest.raises(ValueError, match="target"):
        ask("laplace-mr2", samples)
    with pytest.raises(ValueError, match="second moment"):
        ask("gaussian-mr2", column(1), target=single(1))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_thinned_gradient_is_the_whole_one_on_average(name: str) -> None:
    noise = torch.randn(3, 4, 2, 2, 2, generator=seeded(), dtype=torch.float64)
    target = torch.randn(3, 2, 2, 2, generator=seeded(1), dtype=torch.float64)
    given = {"predicted": Moments(target, target.exp())} if VARIANTS[name].proxy else {"target": target}

    def gradient(graded: tuple[int, ...]) -> Tensor:
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        others = [place for place in range(4) if place not in graded]
        samples = losses.thin_gradient(scale * noise[:, list(graded)], noise[:, others])
        found = ask(name, samples, **given)
        return torch.autograd.grad(found.centre + found.dispersion, scale)[0]

    whole = gradient((0, 1, 2, 3))
    subsets = torch.stack([gradient(graded) for graded in combinations(range(4), 2)])
    torch.testing.assert_close(subsets.mean(), whole, rtol=1e-12, atol=1e-12)
    assert (subsets - whole).abs().max() > 1e-3 * whole.abs()  # each alone is another
