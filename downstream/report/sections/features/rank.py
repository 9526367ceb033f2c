"""The effective rank of the features, compared with that of the same network untrained."""

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.report.evidence import SEED, Evidence
from downstream.report.line_chart import draw_line_chart
from downstream.report.table import Table
from downstream.report.templating import render, render_table
from pretext.training.feature_statistics import effective_rank

MOST = 500


def render_rank(evidence: Evidence) -> Markup | None:
    """Render effective ranks and singular values of both networks' features of the same items."""
    if evidence.items is None or evidence.maps is None or len(evidence.items.rows) < 3:
        return None
    chosen = np.linspace(0, len(evidence.items.rows) - 1, min(MOST, len(evidence.items.rows))).astype(int)
    untrained = evidence.run.untrained(SEED).encode_file(evidence.maps, evidence.items.rows[chosen])
    features = {"trained network": evidence.items.features[chosen], "untrained network": untrained}
    finite = {name: values for name, values in features.items() if np.isfinite(values).all()}
    if not finite:
        return None
    shares = {name: _compute_shares(values) for name, values in finite.items()}
    rows = [
        [
            name,
            values.shape[1],
            effective_rank(torch.from_numpy(np.ascontiguousarray(values))),
            _count_axes(shares[name], 0.9),
            _count_axes(shares[name], 0.99),
        ]
        for name, values in finite.items()
    ]
    table = Table(
        caption=f"Features of {len(chosen)} items",
        columns=["features", "dimensions", "effective rank", "axes for 90 % of the variance", "axes for 99 %"],
        rows=rows,
    )
    curves = {
        name: [(float(axis), float(share)) for axis, share in enumerate(falling, 1) if share > 1e-9]
        for name, falling in shares.items()
    }
    chart = draw_line_chart("Share of the variance by principal axis", "axis", "share", curves, log=True)
    return render("rank.html", table=render_table(table), chart=chart)


def _compute_shares(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the share of the variance along each principal axis, in falling order."""
    values = np.linalg.svd(features - features.mean(axis=0, dtype=np.float64), compute_uv=False) ** 2
    return np.asarray(values / max(values.sum(), 1e-300))


def _count_axes(shares: NDArray[np.float64], part: float) -> int:
    """Count the first axes that hold this part of the variance."""
    return int(np.searchsorted(np.cumsum(shares), part - 1e-12) + 1)
