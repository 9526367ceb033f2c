"""The scores of a study, with intervals from resampled participants."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.probes.intervals import compute_accuracy_interval

RESAMPLES, CONFIDENCE = 4000, 0.95
FEWEST_FOR_AN_INTERVAL = 3


@dataclass(frozen=True)
class Estimate:
    """A number and the limits of its 95 % interval, which are None for fewer than three participants."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the estimate as a dict that is ready for JSON."""
        return asdict(self)


def rate(hits: NDArray[np.int64], trials: NDArray[np.int64], seed: int = 0) -> Estimate | None:
    """Compute the share of hits among all trials of all participants.

    The interval is the percentile bootstrap over participants (Efron and Tibshirani 1993, chapter
    13), because trials of one participant are not independent samples. Where nobody or everybody
    always hits, the bootstrap has no width. The interval is then that of Wilson, with participants
    as the samples.

    Parameters
    ----------
    hits, trials : ndarray, shape (P,), int
        Hits and trials of each participant.
    seed : int
        Seed of the resampling.

    Returns
    -------
    Estimate or None
        None if there are no trials.
    """
    took_part = trials > 0
    hits, trials = hits[took_part], trials[took_part]
    if not len(trials):
        return None
    estimate = _add_interval((hits, trials), _share, seed)
    if estimate.low is not None and estimate.value in (0, 1):
        return Estimate(estimate.value, *compute_accuracy_interval(estimate.value, len(hits), CONFIDENCE))
    return estimate


def realism_score(
    hits: NDArray[np.int64],
    fakes: NDArray[np.int64],
    alarms: NDArray[np.int64],
    reals: NDArray[np.int64],
    seed: int = 0,
) -> Estimate | None:
    """Compute the realism score 2 - 2F: 1 if fakes are indistinguishable, 0 if participants make no mistake.

    F is the F-measure of detecting fakes, averaged over participants. With h the share of fakes
    that were detected and a the share of real images taken for fakes, F = 2h / (1 + h + a). This is
    the F-measure 2PR / (P + R) with weights that make real and fake images equally many. Without
    the weights the score would depend on the number of methods, because each method has only a part
    of the fakes. Guessing (h = a = 1/2) gives F = 1/2. The score is above 1 if fewer fakes are
    detected than by guessing.

    Parameters
    ----------
    hits, fakes : ndarray, shape (P,), int
        Fakes detected and fakes shown, for each participant.
    alarms, reals : ndarray, shape (P,), int
        Real images taken for fakes and real images shown, for each participant.
    seed : int
        Seed of the resampling.

    Returns
    -------
    Estimate or None
        None if no participant saw both fakes and real images.
    """
    saw_both = (fakes > 0) & (reals > 0)
    if not saw_both.any():
        return None
    hit, alarm = hits[saw_both] / fakes[saw_both], alarms[saw_both] / reals[saw_both]
    scores = 2 - 2 * (2 * hit / (1 + hit + alarm))
    return _add_interval((scores,), _mean, seed)


def _add_interval(samples: tuple[NDArray[Any], ...], statistic: Any, seed: int) -> Estimate:
    from scipy.stats import bootstrap

    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) < FEWEST_FOR_AN_INTERVAL:
        return Estimate(value, None, None)
    interval = bootstrap(
        samples, statistic, paired=len(samples) > 1, vectorized=True, n_resamples=RESAMPLES, method="percentile",
        confidence_level=CONFIDENCE, rng=np.random.default_rng(seed), batch=500,
    ).confidence_interval  # fmt: skip
    return Estimate(value, float(interval.low), float(interval.high))


def _share(hits: NDArray[np.int64], trials: NDArray[np.int64], axis: int = -1) -> Any:
    return hits.sum(axis=axis) / trials.sum(axis=axis)


def _mean(values: NDArray[np.float64], axis: int = -1) -> Any:
    return values.mean(axis=axis)


def krippendorff_alpha(units: Mapping[Hashable, Sequence[Hashable]]) -> float | None:
    """Compute Krippendorff's alpha, the agreement beyond chance: 1 if all agree, 0 for agreement by chance.

    alpha = 1 - D_o / D_e with D_o = sum_u (n_u^2 - sum_c n_uc^2) / (n_u - 1) / n and D_e = (n^2 -
    sum_c n_c^2) / (n (n - 1)), over the units that at least two participants rated: n_uc of the n_u
    ratings of unit u are c, n and n_c are sums over units (Krippendorff, Computing Krippendorff's
    Alpha-Reliability, 2011, section E, for nominal data).

    Parameters
    ----------
    units : mapping of unit to sequence of ratings
        One rating for each participant who rated the unit.

    Returns
    -------
    float or None
        None if alpha is not defined: no unit has two ratings, or all ratings are the same.
    """
    rated = [list(ratings) for ratings in units.values() if len(ratings) > 1]
    categories = sorted({repr(rating) for ratings in rated for rating in ratings})
    if len(categories) < 2:
        return None
    counts = np.array([[list(map(repr, ratings)).count(each) for each in categories] for ratings in rated])
    of_unit, of_category, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    observed = ((of_unit**2 - (counts**2).sum(axis=1)) / (of_unit - 1)).sum()
    expected = (total**2 - (of_category**2).sum()) / (total - 1)
    return float(1 - observed / expected)
