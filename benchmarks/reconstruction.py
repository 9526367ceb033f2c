"""Reconstruct shapes from maps: Chamfer distances and times for each basis and degree, and a figure.

Run ``python benchmarks/reconstruction.py --root ModelNet10 --out
benchmarks/results/reconstruction.json`` with the OFF tree of ModelNet10 or a part of it. Rows of
``radial`` need the extra embree.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transforms import machine

from data_prep.basis import Basis, harmonics_basis, radial_basis, zernike_basis
from data_prep.geometry.solid_quadrature import require_closed
from data_prep.geometry.surface_quadrature import compute_surface_quadrature
from data_prep.geometry.surface_sampling import sample_surface
from data_prep.pipeline.shape_to_map import cloud_to_map, get_highest_order, move_mesh_to_unit_ball, shape_to_map
from data_prep.source import Shape
from data_prep.sources.built_in.shapes import make_shape
from data_prep.sources.catalogue import open_source
from data_prep.transforms.inverse import build_density_mesh, build_star_mesh, density_grid, find_densest_cells
from data_prep.transforms.radial_harmonics import build_grid_directions, cast_rays, require_embree
from downstream.figures.shapes import draw_shapes
from downstream.metrics.chamfer import chamfer_distance
from spectral_ssl.ground.errors import ObjectError, UserError

BUILT_IN = ("chair", "mug", "torus", "stairs", "lamp", "bottle")
NUMBER = 4  # index of the mesh of each class; the thresholds were chosen on the first ones
POINTS = 2048  # points of the compared clouds
DRAWN = tuple(f"built-in {name}" for name in BUILT_IN)  # We may publish images of these shapes, but not of ModelNet.


def objects(root: Path) -> tuple[dict[str, Shape], dict[str, Any]]:
    """Load one mesh of each class in the unit ball, and count the closed ones among its first ten meshes."""
    source = open_source("modelnet10", root)
    shapes, closed, checked = {}, 0, 0
    for label, name in enumerate(source.classes):
        items = [item for item in source.items if item.label == label and item.split == "train"]
        shapes[name] = move_mesh_to_unit_ball(items[NUMBER].load())
        for item in items[:10]:
            checked += 1
            try:
                require_closed(item.load())
                closed += 1
            except ObjectError:
                pass
    for name in BUILT_IN:
        shapes[f"built-in {name}"] = move_mesh_to_unit_ball(make_shape(f"{name}/train-001"))
    return shapes, {"closed": closed, "of": checked}


def exact_map(mesh: Shape, basis: Basis) -> Any:
    """Compute a map with little noise: Zernike by quadrature, shells from 50,000 points."""
    if basis.kind == "zernike":
        points, weights = compute_surface_quadrature(mesh, get_highest_order(basis))
        return cloud_to_map(points, basis, weights)
    return cloud_to_map(sample_surface(mesh, 50_000, np.random.default_rng(0)), basis)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reconstruction.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/reconstruction.png"))
    options = parser.parse_args()
    shapes, closed = objects(options.root)
    generator = np.random.default_rng(0)
    truths = {name: sample_surface(mesh, POINTS, generator) for name, mesh in shapes.items()}
    rows: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    panels: dict[str, dict[str, Shape]] = {name: {"points": Shape(truths[name])} for name in DRAWN}

    def record(title: str, reconstruct: Callable[[str, Shape], Any], draw: bool = False) -> None:
        rows[title], times = {}, []
        for name, mesh in shapes.items():
            begin = time.perf_counter()
            result = reconstruct(name, mesh)
            times.append(time.perf_counter() - begin)
            cloud = result if isinstance(result, np.ndarray) else sample_surface(result, POINTS, generator)
            rows[title][name] = chamfer_distance(cloud, truths[name])
            if draw and name in panels:
                panels[name][title] = Shape(result) if isinstance(result, np.ndarray) else result
        seconds[title] = statistics.median(times)
        print(f"{title}: mean {statistics.fmean(rows[title].values()):.4f}, {seconds[title]:.2f} s", flush=True)

    record("floor", lambda name, mesh: sample_surface(mesh, POINTS, generator))
    for degree in (10, 20, 30, 40):
        basis = zernike_basis(degree)
        grids: dict[str, Any] = {}

        def ridge(name: str, mesh: Shape, basis: Basis = basis, grids: dict[str, Any] = grids) -> Any:
            grids[name] = density_grid(exact_map(mesh, basis), basis)
            return find_densest_cells(grids[name])

        record(f"zernike {degree} ridge", ridge, draw=degree in (10, 20, 30))
        record(
            f"zernike {degree} skin", lambda name, mesh, grids=grids: build_density_mesh(grids[name]), draw=degree == 20
        )
    for basis in (zernike_basis(15, 8), harmonics_basis(15, 8), harmonics_basis(15, 16), harmonics_basis(31, 16)):
        title = f"{basis.kind} [{basis.radial}, {basis.degree + 1}, {basis.degree + 1}] ridge"
        record(title, lambda name, mesh, b=basis: find_densest_cells(density_grid(exact_map(mesh, b), b)))
    hits = {}
    try:
        require_embree()
        for degree in (15, 31, 63):
            basis = radial_basis(degree)

            def star(name: str, mesh: Shape, basis: Basis = basis) -> Shape:
                return build_star_mesh(shape_to_map(mesh, basis, "+z", generator)[0], basis, 5)

            record(f"radial {degree}", star, draw=degree == 63)
        hits = {
            name: float(cast_rays(mesh, build_grid_directions(63).reshape(-1, 3))[1].mean())
            for name, mesh in shapes.items()
        }
    except UserError as error:
        print(error)
    result = {
        "machine": machine(),
        "closed_meshes": closed,
        "grid": 48,
        "points": POINTS,
        "chamfer": rows,
        "mean": {title: statistics.fmean(row.values()) for title, row in rows.items()},
        "seconds_with_transform": seconds,
        "share_of_rays_that_hit": hits,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw_shapes(options.picture, list(panels.items()))


if __name__ == "__main__":
    main()
