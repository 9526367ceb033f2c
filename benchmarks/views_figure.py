"""Draw what the joint embedding compares: built-in shapes and two views of each.

    python benchmarks/views_figure.py

The figure is docs/views.png.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from data_prep.source import Shape
from data_prep.sources.catalogue import open_source
from downstream.figures.shapes import draw_shapes
from pretext.tasks.views import ViewsConfig, alter_clouds

CLASSES = ("chair", "lamp", "mug", "table")
POINTS = 2048


def cloud_of(shape: Shape, generator: np.random.Generator) -> torch.Tensor:
    """Sample points (1, P, 3) on a mesh, uniform by area, in the unit ball."""
    assert shape.faces is not None
    corners = shape.points[shape.faces]  # (F, 3, 3)
    edges = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    sampled = generator.choice(len(areas), POINTS, p=areas / areas.sum())
    along = generator.random((POINTS, 2, 1))
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    points = corners[sampled, 0] + (along * edges[sampled]).sum(axis=1)
    points -= points.mean(axis=0)
    return torch.from_numpy(points / np.linalg.norm(points, axis=1).max()).float()[None]


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "views.png")
    arguments = parser.parse_args()
    source = open_source("shapes")
    sampler, generator = np.random.default_rng(0), torch.Generator().manual_seed(1)
    rows = []
    for name in CLASSES:
        shape = next(item for item in source.items if item.label == source.classes.index(name)).load()
        assert isinstance(shape, Shape)
        cloud = cloud_of(shape, sampler)
        views = [alter_clouds(cloud, ViewsConfig(), 1.0, generator)[0].numpy() for _ in range(2)]
        forms = {"object": cloud[0].numpy(), "one view": views[0], "another view": views[1]}
        rows.append((name, {title: Shape(points.astype(float)) for title, points in forms.items()}))
    draw_shapes(arguments.out, rows)


if __name__ == "__main__":
    main()
