"""The features by t-SNE in the plane; whoever points at an item sees it.

t-SNE (van der Maaten and Hinton, 2008) keeps neighbours and no distances. Labels, those of the test split too, give the
colours and nothing else.
"""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.report.evidence import SEED, Evidence
from downstream.report.images import sheet, sheet_uri, thumbnails
from downstream.report.table import Table
from downstream.report.templating import fragment, render

FEWEST = 10
PERPLEXITY = 30.0
AXES_KEPT = 50  # principal axes before t-SNE, as usual: its time grows with the dimensions
PICTURE = 56
COLUMNS = 50
SIDE = 600
MARGIN = 16
COLOURS = 20  # in report.css


def embedding(evidence: Evidence) -> Markup | None:
    """A map of up to 2000 items; None in a short report, and where there are too few or no finite features."""
    items, maps = evidence.items, evidence.maps
    if items is None or maps is None or len(items.rows) < FEWEST or not np.isfinite(items.features).all():
        return None
    places = plane(items.standardised())
    pixels = np.round(MARGIN + places * (SIDE - 2 * MARGIN)).astype(int)
    labels = maps.labels[items.rows]
    names = [maps.classes[label] if 0 <= label < len(maps.classes) else "no label" for label in labels]
    ids = [maps.ids[row] for row in items.rows]
    splits = [str(split) for split in maps.splits[items.rows]]
    pictures = sheet(thumbnails(maps, items.rows, PICTURE), PICTURE, COLUMNS)
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
        data={"ids": ids, "classes": names, "splits": splits, "picture": PICTURE, "columns": COLUMNS},
        sheet=sheet_uri(pictures, few_colours=maps.basis.kind != "pixels"),
        legend=[(label, label % COLOURS, maps.classes[label]) for label in known if label < len(maps.classes)],
        table=fragment(table),
    )


def plane(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (N, 2) in the unit square of standardised features (N, D), by t-SNE from their first principal axes."""
    from sklearn.manifold import TSNE

    centred = features - features.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    kept = centred @ axes[:AXES_KEPT].T
    if not kept.any():
        return np.full((len(features), 2), 0.5)
    start = kept[:, :2] if kept.shape[1] > 1 else np.column_stack([kept[:, 0], np.zeros(len(kept))])
    perplexity = min(PERPLEXITY, (len(kept) - 1) / 3)
    first = start / max(float(start[:, 0].std()), 1e-12) * 1e-4
    found = TSNE(perplexity=perplexity, init=first, random_state=SEED).fit_transform(kept)
    span = float(np.ptp(found, axis=0).max()) or 1.0
    middle = (found.max(axis=0) + found.min(axis=0)) / 2
    return np.asarray((found - middle) / span + 0.5, np.float64)
