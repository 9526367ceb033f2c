"""From one shape to its map: points drawn or computed, brought into the unit ball, transformed, folded."""

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.solid_quadrature import compute_solid_centroid, compute_solid_quadrature
from data_prep.geometry.surface_quadrature import compute_surface_centroid, compute_surface_quadrature
from data_prep.geometry.surface_sampling import resample_cloud, sample_farthest_points, sample_surface
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.layout import fold
from data_prep.source import Shape, Up
from data_prep.transforms.radial_harmonics import compute_radial_map, require_embree
from data_prep.transforms.shell_harmonics import shell_moments
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import ObjectError, UserError

# Farthest points are chosen among this many times as many, stratified by area.
CANDIDATES = 4


def shape_to_map(
    shape: Shape, basis: Basis, up: Up, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The map of a mesh or a cloud.

    Parameters
    ----------
    shape : Shape
        The object in its own units.
    basis : Basis
        What its map shall be.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in it.
    generator : numpy.random.Generator
        Draws the points.

    Returns
    -------
    map : ndarray, shape ``basis.shape``, float32
    cloud : ndarray, shape (basis.points, 3), float32, or None
        The points it was made from; None where it was made from the mesh itself.

    Raises
    ------
    ObjectError
        When the object cannot be used.
    """
    if basis.kind == "radial":
        return compute_radial_map(move_mesh_to_unit_ball(shape, up), basis), None
    if basis.sampling == "solid":
        points, weights = _solid(shape, basis, up)
        return cloud_to_map(points, basis, weights), None
    if shape.faces is not None and basis.sampling == "quadrature":
        points, weights = _computed(move_mesh_to_unit_ball(shape, up), basis)
        return cloud_to_map(points, basis, weights), None
    centre = compute_surface_centroid(shape) if shape.faces is not None and basis.centre == "area" else None
    cloud = move_to_unit_ball(_drawn(shape, basis, generator), up, centre=centre, reach=basis.reach)
    return cloud_to_map(cloud, basis), cloud


def cloud_to_map(
    cloud: NDArray[np.floating], basis: Basis, weights: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """The map, shape ``basis.shape`` float32, of a cloud (P, 3) in the unit ball with +z up.

    Raises
    ------
    ObjectError
        When a point is not finite or lies outside the ball.
    """
    return clouds_to_maps(cloud[None], basis, weights)[0]


def clouds_to_maps(
    clouds: NDArray[np.floating], basis: Basis, weights: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.float32]:
    """The maps (B, *basis.shape) float32 of clouds (B, P, 3) in the unit ball with +z up.

    Parameters
    ----------
    clouds : ndarray, shape (B, P, 3)
        Of as many points each.
    basis : Basis
        Of kind "zernike" or "sh".
    weights : ndarray, shape (P,) or (B, P), optional
        Mass of each point; 1/P each by default.
    threads : int
        Clouds worked on at the same time; the maps do not depend on it.

    Raises
    ------
    ObjectError
        When a point is not finite or lies outside the ball.
    """
    if basis.kind == "zernike":
        radial = basis.radial if basis.truncation == "rectangular" else None
        coefficients = zernike_moments(clouds, basis.degree, weights, radial=radial, threads=threads)
    else:
        coefficients = shell_moments(clouds, basis.degree, basis.radial, weights, threads=threads)
    return np.asarray(fold(coefficients, basis), np.float32)


def move_mesh_to_unit_ball(shape: Shape, up: Up = "+z", centre: NDArray[np.float64] | None = None) -> Shape:
    """A mesh with +z up, the centroid of its surface at the origin and its farthest corner just inside the unit sphere.

    Another ``centre`` may be given, in the mesh's own units. Corners that no triangle names are left out.

    Raises
    ------
    ObjectError
        When the mesh has no faces, no area, or corners that are not finite.
    """
    if shape.faces is None:
        raise ObjectError("a cloud where a mesh is needed")
    centre = compute_surface_centroid(shape) if centre is None else centre
    used, faces = np.unique(shape.faces, return_inverse=True)
    return Shape(move_to_unit_ball(shape.points[used], up, centre=centre).astype(np.float64), faces.reshape(-1, 3))


def get_highest_order(basis: Basis) -> int:
    """The highest polynomial order n of a Zernike basis."""
    return basis.degree if basis.truncation == "triangular" else basis.degree + 2 * (basis.radial - 1)


def check_settings(basis: Basis, keep_points: bool) -> None:
    """Refuse settings that contradict each other.

    Raises
    ------
    UserError
        When points shall be kept of a map that is not made from points, quadrature is asked of another basis than
        Zernike moments, or rays shall be cast without embreex.
    """
    if basis.kind == "radial":
        require_embree()
        if keep_points:
            raise UserError("--keep-points with --sphere radial", "no points are drawn", "leave it out")
    if basis.sampling not in ("quadrature", "solid"):
        return
    if basis.kind != "zernike":
        # the functions jump from shell to shell, which no polynomial rule integrates
        raise UserError(
            f"--sampling {basis.sampling} without Zernike moments", basis.kind, "take area, or --basis zernike"
        )
    if basis.sampling == "solid" and basis.reach != 1:
        raise UserError("--reach with --sampling solid", basis.reach, "leave it out: there are no stray points")
    if keep_points:
        raise UserError(f"--keep-points with {basis.sampling}", "no points are drawn", "take --sampling area")


def _drawn(shape: Shape, basis: Basis, generator: np.random.Generator) -> NDArray[np.float64]:
    if shape.faces is None:
        return resample_cloud(shape.points, basis.points, generator)
    if basis.sampling == "farthest":
        return sample_farthest_points(
            sample_surface(shape, CANDIDATES * basis.points, generator), basis.points, generator
        )
    return sample_surface(shape, basis.points, generator)


def _solid(shape: Shape, basis: Basis, up: Up) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    mesh = move_mesh_to_unit_ball(shape, up, compute_solid_centroid(shape))
    return compute_solid_quadrature(mesh, get_highest_order(basis))


def _computed(mesh: Shape, basis: Basis) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    points, weights = compute_surface_quadrature(mesh, get_highest_order(basis))
    if basis.reach == 1:
        return points, weights
    return move_to_unit_ball(points, weights=weights, reach=basis.reach), weights
