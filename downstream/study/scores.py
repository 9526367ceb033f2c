"""The numbers of a study, with intervals from resampled participants."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES, CONFIDENCE = 4000, 0.95
FEWEST_FOR_AN_INTERVAL = 3


@dataclass(frozen=True)
class Estimate:
    """A number and the limits of its 95 % interval (None with fewer than three participants)."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, Any]:
        """The estimate as JSON has it."""
        return asdict(self)


def rate(hits: NDArray[np.int64], trials: NDArray[np.int64], seed: int = 0) -> Estimate | None:
    """Share of hits among all trials of all participants.

    The interval is the percentile bootstrap over participants (Efron and Tibshirani 1993, chapter 13): trials of one
    participant are no independent samples.

    Parameters
    ----------
    hits, trials : ndarray, shape (P,), int
        Of each participant.
    seed : int
        Of the resampling.

    Returns
    -------
    Estimate or None
        None without trials.
    """
    seen = trials > 0
    hits, trials = hits[seen], trials[seen]
    if not len(trials):
        return None
    return _with_interval((hits, trials), _share, seed)


def realism_score(
    found: NDArray[np.int64],
    fakes: NDArray[np.int64],
    alarms: NDArray[np.int64],
    reals: NDArray[np.int64],
    seed: int = 0,
) -> Estimate | None:
    """2 - 2F, F the F-measure of finding fakes averaged over participants: 1 if indistinguishable, 0 if no mistake.

    With h the share of fakes that were found and a the share of real images taken for fakes, F = 2h / (1 + h + a). That
    is the F-measure 2PR / (P + R) with real and fake images weighted as if there were equally many: where the fakes are
    of several methods, each method's share is small, and without the weights its score would depend on their number.
    Guessing (h = a = 1/2) gives F = 1/2. The score is above 1 where fewer fakes are found than by guessing.

    Parameters
    ----------
    found, fakes : ndarray, shape (P,), int
        Fakes found and seen, of each participant.
    alarms, reals : ndarray, shape (P,), int
        Real images taken for fakes and seen.
    seed : int
        Of the resampling.

    Returns
    -------
    Estimate or None
        None if no participant saw both fakes and real images.
    """
    seen = (fakes > 0) & (reals > 0)
    if not seen.any():
        return None
    hit, alarm = found[seen] / fakes[seen], alarms[seen] / reals[seen]
    scores = 2 - 2 * (2 * hit / (1 + hit + alarm))
    return _with_interval((scores,), _mean, seed)


def _with_interval(samples: tuple[NDArray[Any], ...], statistic: Any, seed: int) -> Estimate:
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
    """Agreement beyond chance: 1 if all agree, 0 if no more than by chance.

    alpha = 1 - D_o / D_e with D_o = sum_u (n_u^2 - sum_c n_uc^2) / (n_u - 1) / n and
    D_e = (n^2 - sum_c n_c^2) / (n (n - 1)), over the units that at least two participants judged: n_uc of the n_u
    judgements of unit u are c, n and n_c are sums over units (Krippendorff, Computing Krippendorff's Alpha-Reliability,
    2011, section E, for nominal data).

    Parameters
    ----------
    units : mapping of unit to sequence of judgements
        One judgement for each participant who judged the unit.

    Returns
    -------
    float or None
        None where it is not defined: no unit was judged twice, or all judgements are the same.
    """
    judged = [list(judgements) for judgements in units.values() if len(judgements) > 1]
    categories = sorted({repr(judgement) for judgements in judged for judgement in judgements})
    if len(categories) < 2:
        return None
    counts = np.array([[list(map(repr, judgements)).count(each) for each in categories] for judgements in judged])
    of_unit, of_category, total = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    observed = ((of_unit**2 - (counts**2).sum(axis=1)) / (of_unit - 1)).sum()
    expected = (total**2 - (of_category**2).sum()) / (total - 1)
    return float(1 - observed / expected)
