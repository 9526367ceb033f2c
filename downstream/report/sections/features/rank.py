"""In how many dimensions the features live, beside those of the same network untrained."""

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.report.evidence import SEED, Evidence
from downstream.report.line_chart import line_chart
from downstream.report.table import Table
from downstream.report.templating import fragment, render
from pretext.training.feature_statistics import effective_rank

MOST = 500


def rank(evidence: Evidence) -> Markup | None:
    """Effective ranks and singular values of the same items' features."""
    if evidence.items is None or evidence.maps is None or len(evidence.items.rows) < 3:
        return None
    some = np.linspace(0, len(evidence.items.rows) - 1, min(MOST, len(evidence.items.rows))).astype(int)
    untrained = evidence.run.untrained(SEED).encode_file(evidence.maps, evidence.items.rows[some])
    features = {"trained network": evidence.items.features[some], "untrained network": untrained}
    finite = {name: values for name, values in features.items() if np.isfinite(values).all()}
    if not finite:
        return None
    shares = {name: _shares(values) for name, values in finite.items()}
    rows = [
        [
            name,
            values.shape[1],
            effective_rank(torch.from_numpy(np.ascontiguousarray(values))),
            _dimensions(shares[name], 0.9),
            _dimensions(shares[name], 0.99),
        ]
        for name, values in finite.items()
    ]
    table = Table(
        caption=f"Of {len(some)} items",
        columns=["features", "dimensions", "effective rank", "axes for 90 % of the variance", "for 99 %"],
        rows=rows,
    )
    curves = {
        name: [(float(place), float(value)) for place, value in enumerate(own, 1) if value > 1e-9]
        for name, own in shares.items()
    }
    chart = line_chart("Share of the variance by principal axis", "axis", "share", curves, log=True)
    return render("rank.html", table=fragment(table), chart=chart)


def _shares(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share of the variance along each principal axis, falling."""
    values = np.linalg.svd(features - features.mean(axis=0, dtype=np.float64), compute_uv=False) ** 2
    return np.asarray(values / max(values.sum(), 1e-300))


def _dimensions(shares: NDArray[np.float64], part: float) -> int:
    """How many of the first axes hold that part of the variance."""
    return int(np.searchsorted(np.cumsum(shares), part - 1e-12) + 1)
