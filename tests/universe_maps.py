"""A tiny reference file of the universe, as `prep --dataset universe` writes it."""

from pathlib import Path

import numpy as np

from data_prep.basis import Basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.sources.universe import universe_clouds
from data_prep.sources.universe.source import open_source

COUNT, POINTS = 24, 48
# settings of a small training with the joint embedding: an epoch is batches of 8, 8 and 4
FRESH_TINY = (
    "fresh=20", "width=4", "code=8", "projector=16", "grid=8", "batch_size=8", "task.points=32", "precision=fp32",
)  # fmt: skip


def write_universe(path: Path, basis: Basis | None = None) -> MapFile:
    """The maps and clouds of the first shapes."""
    basis = basis or zernike_basis(6, points=POINTS)
    clouds = universe_clouds(range(COUNT), points=basis.points)
    path.parent.mkdir(parents=True, exist_ok=True)
    with MapWriter(
        path, basis, source="universe", source_digest=open_source(Path(), count=1).digest, classes=[], count=COUNT,
        created_by="test", keep_points=basis.points,
    ) as writer:  # fmt: skip
        ids = [f"universe-{row:07d}" for row in range(COUNT)]
        writer.append(clouds_to_maps(clouds, basis), ids, [-1] * COUNT, ["train"] * COUNT, clouds.astype(np.float16))
    return open_maps(path)
