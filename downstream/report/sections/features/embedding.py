"""A map of the features by t-SNE in the plane; readers see an item when they point at it.

t-SNE (van der Maaten and Hinton, 2008) preserves neighbours, not distances. Labels, including those
of the test split, determine the colours only.
"""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.report.evidence import SEED, Evidence
from downstream.report.images import arrange_sheet, encode_sheet, make_thumbnails
from downstream.report.table import Table
from downstream.report.templating import render, render_table

FEWEST = 10
PERPLEXITY = 30.0
AXES_USED = 50  # principal axes as input of t-SNE, as usual: its time grows with the dimensions
THUMBNAIL = 56
COLUMNS = 50
SIDE = 600
MARGIN = 16
COLOURS = 20  # in report.css


def render_embedding(evidence: Evidence) -> Markup | None:
    """Render a map of up to 2000 items; None in a short report, for few items, and if features are not finite."""
    items, maps = evidence.items, evidence.maps
    if items is None or maps is None or len(items.rows) < FEWEST or not np.isfinite(items.features).all():
        return None
    positions = project_to_plane(items.standardise())
    pixels = np.round(MARGIN + positions * (SIDE - 2 * MARGIN)).astype(int)
    labels = maps.labels[items.rows]
    names = [maps.classes[label] if 0 <= label < len(maps.classes) else "no label" for label in labels]
    ids = [maps.ids[row] for row in items.rows]
    splits = [str(split) for split in maps.splits[items.rows]]
    sheet = arrange_sheet(make_thumbnails(maps, items.rows, THUMBNAIL), THUMBNAIL, COLUMNS)
    known = sorted(set(labels[labels >= 0].tolist()))
    table = Table(
        caption=f"{len(ids)} items in the plane",
        columns=["item", "class", "split", "x", "y"],
        rows=[
            [name, kind, split, int(x), int(y)]
            for name, kind, split, (x, y) in zip(ids, names, splits, pixels, strict=True)
        ],
    )
    return render(
        "embedding.html",
        items=[
            {"x": int(x), "y": int(y), "label": int(label), "colour": int(label) % COLOURS if label >= 0 else "none"}
            for (x, y), label in zip(pixels, labels, strict=True)
        ],
        side=SIDE,
        data={"ids": ids, "classes": names, "splits": splits, "thumbnail": THUMBNAIL, "columns": COLUMNS},
        sheet=encode_sheet(sheet, few_colours=maps.basis.kind != "pixels"),
        legend=[(label, label % COLOURS, maps.classes[label]) for label in known if label < len(maps.classes)],
        table=render_table(table),
    )


def project_to_plane(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project standardised features (N, D) to the unit square (N, 2), by t-SNE that starts at two principal axes."""
    from sklearn.manifold import TSNE

    centred = features - features.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    reduced = centred @ axes[:AXES_USED].T
    if not reduced.any():
        return np.full((len(features), 2), 0.5)
    start = reduced[:, :2] if reduced.shape[1] > 1 else np.column_stack([reduced[:, 0], np.zeros(len(reduced))])
    perplexity = min(PERPLEXITY, (len(reduced) - 1) / 3)
    first = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    positions = TSNE(perplexity=perplexity, init=first, random_state=SEED).fit_transform(reduced)
    span = float(np.ptp(positions, axis=0).max()) or 1.0
    middle = (positions.max(axis=0) + positions.min(axis=0)) / 2
    return np.asarray((positions - middle) / span + 0.5, np.float64)
