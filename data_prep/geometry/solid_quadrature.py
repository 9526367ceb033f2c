"""Quadrature of the solid inside a closed mesh: weighted points whose moments are those of the solid.

By the divergence theorem the integral of f over the solid is a sum over its triangles T, with c
their outward normal::

    integral of f dV = sum over T of integral over T of (x . c) [integral of t^2 f(t x) dt, 0 < t < 1] dA

This is a sum over the tetrahedra between the origin and each triangle. A tetrahedron is positive if
its triangle faces away from the origin, else negative. Each gets a conical Gauss rule as in
``data_prep.geometry.surface_quadrature``, and Gauss-Jacobi nodes in t (weight t^2). Holes and
triangles of the wrong orientation make the sum meaningless. So such meshes are refused, and most of
ModelNet is of that kind.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.surface_quadrature import TOLERANCE, compute_surface_nodes, count_nodes, find_triangles
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError


def compute_solid_quadrature(
    shape: Shape, degree: int, *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute weighted points of the solid within a closed mesh.

    Parameters
    ----------
    shape : Shape
        A closed mesh within the unit ball, with consistent orientation: all triangles face outward,
        or all face inward.
    degree : int
        Highest order of the functions to integrate.
    tolerance : float
        Largest relative error per triangle on a wave of that order; 0 for exact rules.

    Returns
    -------
    points : (P, 3) float64 array
        Points between the origin and the surface. All are in the unit ball, not all in the solid.
    weights : (P,) float64 array
        Weights of both signs, with sum one.

    Raises
    ------
    UserError
        When degree or tolerance are negative.
    ObjectError
        When the mesh is not closed, has no consistent orientation, or encloses no volume.

    Notes
    -----
    With tolerance 0 the error is rounding: 1e-15 times the sum of all |weights|. That sum is a few
    units if the origin is in the solid, and larger for thin objects next to the origin.
    """
    from scipy.special import roots_jacobi

    volume, _ = _volume_and_centroid(shape)
    corners, _ = find_triangles(shape)
    nodes, share, face = compute_surface_nodes(shape, degree, tolerance)
    cones = _signed_volumes(corners)[face]
    farthest = float(np.linalg.norm(corners, axis=2).max())
    inward, mass = roots_jacobi(int(count_nodes(np.array([farthest]), degree, tolerance)[0]), 0, 2)
    points = ((inward + 1) / 2)[:, None, None] * nodes
    weights = (mass / mass.sum())[:, None] * (share * cones / volume)
    return points.reshape(-1, 3), weights.reshape(-1)


def compute_solid_centroid(shape: Shape) -> NDArray[np.float64]:
    """Compute the centre of mass of the solid within a closed mesh, in the mesh's units; exact.

    Returns
    -------
    (3,) float64 array

    Raises
    ------
    ObjectError
        When the mesh is not closed, has no consistent orientation, or encloses no volume.
    """
    return _volume_and_centroid(shape)[1]


def require_closed(shape: Shape) -> None:
    """Raise an ObjectError unless the mesh encloses a solid.

    Corners at exactly the same position count as one.

    Raises
    ------
    ObjectError
        When the triangles do not use each edge equally often in both directions.
    """
    if shape.faces is None or len(shape.faces) == 0:
        raise ObjectError("a mesh without faces")
    positions, corner = np.unique(shape.points, axis=0, return_inverse=True)
    faces = corner.reshape(-1)[shape.faces]
    starts, ends = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    forward, backward = (np.sort(a * len(positions) + b) for a, b in ((starts, ends), (ends, starts)))
    if not np.array_equal(forward, backward):
        raise ObjectError("not a closed mesh (holes, or triangles of the wrong orientation): solid moments need one")


def _volume_and_centroid(shape: Shape) -> tuple[float, NDArray[np.float64]]:
    require_closed(shape)
    corners, areas = find_triangles(shape)
    # The cones start at a corner of the mesh: from a distant origin they would cancel.
    base = corners[0, 0]
    cones = _signed_volumes(corners - base)
    volume = float(cones.sum())
    if not abs(volume) > 1e-12 * float(areas.sum()) ** 1.5:
        raise ObjectError("a closed mesh without volume")
    # The centroid of a tetrahedron is the mean of its corners, and one of them is the base.
    return volume, base + cones @ (corners - base).sum(axis=0) / (4 * volume)


def _signed_volumes(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the signed volumes (F,) of the tetrahedra between the origin and triangles (3, F, 3)."""
    return np.asarray((corners[0] * np.cross(corners[1], corners[2])).sum(axis=1) / 6)
