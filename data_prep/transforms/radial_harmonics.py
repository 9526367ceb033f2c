"""A mesh as the distance of its surface from the centre, r(u), and that as spherical harmonics.

Grid: Driscoll and Healy, "Computing Fourier transforms and convolutions on the 2-sphere" (1994), with n = 2L + 2
colatitudes theta_i = pi i / n, which include the north pole and not the south pole, times n azimuths
phi_j = 2 pi j / n without 2 pi. On it functions of degree up to L transform exactly. Rows are colatitudes:
values[i, j] is r at (sin theta_i cos phi_j, sin theta_i sin phi_j, cos theta_i).

Rays: r(u) is the distance of the *farthest* hit of the ray from the centre outward along u, and 0 where the ray hits
nothing. It is found as the first hit of a ray from outside towards the centre that does not go beyond it.

Only star-shaped objects, of which every ray from the centre hits the surface once, are described fully. Of others one
keeps the outermost surface, and there is an error that no degree removes. ``cast_rays`` tells which rays hit; the map
file does not keep it: for the transform a ray that hits nothing is the distance 0.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis, radial_basis
from data_prep.layout import fold, index
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

OUTSIDE = 1.5  # where rays start, in a ball of radius 1


def radial_map(mesh: Shape, basis: Basis) -> NDArray[np.float32]:
    """The map of a mesh in the unit ball, for a basis of kind "radial".

    Returns
    -------
    (1, L+1, L+1) float32 array
        Folded.

    Raises
    ------
    UserError
        When embreex is not installed.
    ObjectError
        When there is no mesh, or no ray hits it.
    """
    distances, hit = cast_rays(mesh, grid_directions(basis.degree).reshape(-1, 3))
    if not hit.any():
        raise ObjectError("no ray from the centre hits the surface")
    side = 2 * (basis.degree + 1)
    return np.asarray(fold(grid_coefficients(distances.reshape(side, side)), basis), np.float32)


def cast_rays(mesh: Shape, directions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far the surface is from the origin along each direction.

    Parameters
    ----------
    mesh : Shape
        Within the unit ball.
    directions : (D, 3) float64 array
        Of length one.

    Returns
    -------
    distances : (D,) float64 array
        Of the farthest hit, 0 where there is none.
    hit : (D,) bool array
        Where there is one.

    Raises
    ------
    UserError
        When embreex is not installed: without it trimesh would silently take its own caster, hundreds of times slower.
    ObjectError
        When there is no mesh, or it reaches out of the ball.

    Notes
    -----
    Embree, in float32, says which triangle is hit; the distance to its plane is computed in float64. At edges, within
    1e-6, the neighbouring triangle's plane may be taken, and very rarely a ray slips through (the hit is missed).
    """
    need_embree()
    from trimesh import Trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    if mesh.faces is None or len(mesh.faces) == 0:
        raise ObjectError("ray casting needs a mesh, this is a cloud")
    if not np.linalg.norm(mesh.points, axis=1).max() <= 1 + 1e-6:
        raise ObjectError("a corner that is not finite or lies outside the unit ball")
    body = Trimesh(mesh.points, mesh.faces, process=False)
    face = np.asarray(RayMeshIntersector(body).intersects_first(OUTSIDE * directions, -directions))
    corners = mesh.points[mesh.faces[face]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    height, slope = (corners[:, 0] * normals).sum(axis=1), (directions * normals).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = height / slope
    # a ray within the plane: anywhere between the corners, take their middle
    distances = np.where(np.isfinite(distances), distances, (corners.mean(axis=1) * directions).sum(axis=1))
    # beyond the centre lies the surface of the opposite direction; the plane may be left of its triangle by rounding
    reach = np.linalg.norm(corners, axis=2).max(axis=1)
    hit = (face >= 0) & (distances >= 0)
    return np.where(hit, np.minimum(distances, reach), 0.0), hit


def need_embree() -> None:
    """Make sure that the fast ray caster is there.

    Raises
    ------
    UserError
        When it is not.
    """
    try:
        import embreex.rtcore_scene  # noqa: F401
    except ImportError as error:
        raise UserError(
            "ray casting needs embreex", "not installed", "pip install 'spectral-ssl[embree]', or take --sphere shells"
        ) from error


@lru_cache(maxsize=8)
def grid_directions(degree: int) -> NDArray[np.float64]:
    """The directions of the Driscoll-Healy grid, (2L+2, 2L+2, 3): rows are colatitudes, columns azimuths."""
    side = 2 * (degree + 1)
    theta, phi = np.meshgrid(np.arange(side) * np.pi / side, np.arange(side) * 2 * np.pi / side, indexing="ij")
    directions = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    directions.flags.writeable = False
    return directions


def grid_coefficients(values: NDArray[Any]) -> NDArray[np.float64]:
    """Spherical-harmonic coefficients of a function on the Driscoll-Healy grid.

    Parameters
    ----------
    values : (2L+2, 2L+2) array of a floating dtype
        At ``grid_directions(L)``.

    Returns
    -------
    ((L+1)^2,) float64 array
        In lexicographic order of (l, m); real, orthonormal, without the Condon-Shortley phase.

    Raises
    ------
    UserError
        When the grid is not square with an even side.

    Notes
    -----
    Exact for functions of degree up to L: 1e-13 at L = 63.
    """
    from pyshtools.expand import SHExpandDH  # a second to import

    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] % 2 or values.shape[0] < 4:
        raise UserError("shape of the grid", values.shape, "give (2L+2, 2L+2)")
    degree = values.shape[0] // 2 - 1
    cosine, sine = SHExpandDH(np.asarray(values, np.float64), norm=4, sampling=1, csphase=1, lmax_calc=degree)
    _, ell, m = index(radial_basis(degree)).T
    return np.asarray(np.where(m >= 0, cosine[ell, np.abs(m)], sine[ell, np.abs(m)]))
