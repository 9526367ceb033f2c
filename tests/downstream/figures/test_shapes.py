from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.source import Shape
from data_prep.sources.built_in.shapes import make_shape
from downstream.figures.shapes import draw_shapes
from spectral_ssl.ground.errors import UserError


def test_clouds_and_meshes_are_drawn_in_their_cells(tmp_path: Path) -> None:
    mesh = make_shape("mug/train-000")
    cloud = Shape(np.random.default_rng(0).uniform(-0.5, 0.5, (9000, 3)))
    path = tmp_path / "shapes.png"
    draw_shapes(path, [("mug", {"cloud": Shape(mesh.points), "mesh": mesh}), ("box", {"cloud": cloud})])
    image = np.asarray(Image.open(path).convert("L"))
    height, width = image.shape
    dark = image < 250
    # below the titles, right of the names: upper left, upper right and lower left are filled, lower right is empty
    upper, lower = slice(height // 6, height // 2), slice(height // 2 + 20, None)
    left, right = slice(width // 6, width // 2), slice(width // 2 + 20, None)
    assert all(dark[rows, columns].mean() > 0.02 for rows, columns in ((upper, left), (upper, right), (lower, left)))
    assert not dark[lower, right].any()


def test_nothing_to_draw_and_existing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shapes to draw"):
        draw_shapes(tmp_path / "a.png", [])
    (tmp_path / "b.png").touch()
    with pytest.raises(UserError):
        draw_shapes(tmp_path / "b.png", [("x", {"y": Shape(np.eye(3))})], overwrite=False)
