"""The inside of a closed mesh as weighted points whose moments are those of the solid.

By the divergence theorem the integral of f over the solid is a sum over its triangles T, with c their outward normal::

    integral of f dV = sum over T of integral over T of (x . c) [integral of t^2 f(t x) dt, 0 < t < 1] dA

that is, a sum over the tetrahedra between the origin and each triangle, positive or negative as the triangle faces
away from the origin or towards it. Each gets a conical Gauss rule as in ``data_prep.geometry.surface_quadrature``, and
Gauss-Jacobi nodes in t (weight t^2). Holes and wrongly turned triangles make the sum meaningless, so such meshes are
refused; most of ModelNet is of that kind.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.surface_quadrature import TOLERANCE, compute_surface_nodes, count_nodes, find_triangles
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError


def compute_solid_quadrature(
    shape: Shape, degree: int, *, tolerance: float = TOLERANCE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted points of the solid within a closed mesh.

    Parameters
    ----------
    shape : Shape
        A closed mesh, consistently turned (all triangles outward or all inward), within the unit ball.
    degree : int
        Highest order of the functions that will be integrated.
    tolerance : float
        Largest error on a wave of that order, per triangle and relative; 0 for rules that are exact.

    Returns
    -------
    points : (P, 3) float64 array
        Between the origin and the surface; in the unit ball, though not all in the solid.
    weights : (P,) float64 array
        Of both signs; they sum to one.

    Raises
    ------
    UserError
        When degree or tolerance make no sense.
    ObjectError
        When the mesh is not closed, not consistently turned, or encloses no volume.

    Notes
    -----
    With tolerance 0 exact to rounding: 1e-15 times the sum of all |weights| (some units where the origin is in the
    solid, more for thin objects beside it).
    """
    from scipy.special import roots_jacobi

    volume, _ = _volume_and_centroid(shape)
    corners, _ = find_triangles(shape)
    places, share, face = compute_surface_nodes(shape, degree, tolerance)
    cones = _signed_volumes(corners)[face]
    farthest = float(np.linalg.norm(corners, axis=2).max())
    inward, mass = roots_jacobi(int(count_nodes(np.array([farthest]), degree, tolerance)[0]), 0, 2)
    points = ((inward + 1) / 2)[:, None, None] * places
    weights = (mass / mass.sum())[:, None] * (share * cones / volume)
    return points.reshape(-1, 3), weights.reshape(-1)


def compute_solid_centroid(shape: Shape) -> NDArray[np.float64]:
    """The centre of mass of the solid within a closed mesh, in its own units; exact.

    Returns
    -------
    (3,) float64 array

    Raises
    ------
    ObjectError
        When the mesh is not closed, not consistently turned, or encloses no volume.
    """
    return _volume_and_centroid(shape)[1]


def require_closed(shape: Shape) -> None:
    """Refuse a mesh that does not enclose a solid.

    Raises
    ------
    ObjectError
        When an edge does not have exactly as many triangles on its one side as on the other, going the opposite way.
        Corners at exactly the same place count as one.
    """
    if shape.faces is None or len(shape.faces) == 0:
        raise ObjectError("a mesh without faces")
    places, corner = np.unique(shape.points, axis=0, return_inverse=True)
    faces = corner.reshape(-1)[shape.faces]
    starts, ends = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    forward, backward = (np.sort(one * len(places) + other) for one, other in ((starts, ends), (ends, starts)))
    if not np.array_equal(forward, backward):
        raise ObjectError("not a closed mesh: holes, or triangles turned the wrong way; solid moments need one")


def _volume_and_centroid(shape: Shape) -> tuple[float, NDArray[np.float64]]:
    require_closed(shape)
    corners, areas = find_triangles(shape)
    # about a corner of the mesh itself: far from the origin the cones would cancel
    base = corners[0, 0]
    cones = _signed_volumes(corners - base)
    volume = float(cones.sum())
    if not abs(volume) > 1e-12 * float(areas.sum()) ** 1.5:
        raise ObjectError("a closed mesh without volume")
    # the centroid of a tetrahedron is the mean of its corners, one of which is the base
    return volume, base + cones @ (corners - base).sum(axis=0) / (4 * volume)


def _signed_volumes(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the tetrahedra between the origin and triangles (3, F, 3)."""
    return np.asarray((corners[0] * np.cross(corners[1], corners[2])).sum(axis=1) / 6)
