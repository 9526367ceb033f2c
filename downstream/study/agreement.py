"""Whether participants agree: Krippendorff's alpha for nominal answers, with answers missing where they are missing."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np


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
