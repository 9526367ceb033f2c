"""The distance r(u) of a mesh's surface from the centre, and its spherical-harmonic coefficients.

Grid: Driscoll and Healy, "Computing Fourier transforms and convolutions on the 2-sphere" (1994).
It has n = 2L + 2 colatitudes theta_i = pi i / n, with the north pole and without the south pole,
times n azimuths phi_j = 2 pi j / n without 2 pi. Functions of degree up to L transform exactly.
Rows are colatitudes: values[i, j] is r at
(sin theta_i cos phi_j, sin theta_i sin phi_j, cos theta_i).

Rays: r(u) is the distance of the *farthest* hit of the ray from the centre outward along u, and 0
if the ray hits nothing. The code casts a ray from outside towards the centre. Its first hit before
the centre is the farthest hit.

The map describes star-shaped objects completely: every ray from their centre hits the surface once.
Of other objects the map keeps the outermost surface, and no degree removes that error.
``cast_rays`` returns which rays hit. The map file does not store it: the transform takes the
distance 0 for a ray that hits nothing.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis, radial_basis
from data_prep.layout import fold, list_indices
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

OUTSIDE = 1.5  # radius at which rays start


def compute_radial_map(mesh: Shape, basis: Basis) -> NDArray[np.float32]:
    """Compute the map of a mesh in the unit ball: c_lm = integral of r(u) Y_lm(u) over the sphere.

    Grid and source are in the module's docstring.

    Parameters
    ----------
    mesh : Shape
        A mesh within the unit ball.
    basis : Basis
        A basis of kind "radial".

    Returns
    -------
    (1, L+1, L+1) float32 array
        The folded map.

    Raises
    ------
    UserError
        When embreex is not installed.
    ObjectError
        When there is no mesh, or no ray hits it.

    Notes
    -----
    The error of the distances is that of ``cast_rays``. The transform is exact for functions of
    degree up to L: 1e-13 at L = 63, before rounding to float32.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Shape, compute_radial_map, radial_basis
    >>> from trimesh.creation import icosphere
    >>> ball = icosphere(subdivisions=4, radius=0.5)
    >>> values = compute_radial_map(Shape(ball.vertices, ball.faces), radial_basis(degree=7))
    >>> values.shape
    (1, 8, 8)
    >>> bool(abs(values[0, 0, 0] - 0.5 * np.sqrt(4 * np.pi)) < 2e-3)
    True
    """
    distances, hit = cast_rays(mesh, build_grid_directions(basis.degree).reshape(-1, 3))
    if not hit.any():
        raise ObjectError("no ray from the centre hits the surface")
    side = 2 * (basis.degree + 1)
    return np.asarray(fold(transform_grid(distances.reshape(side, side)), basis), np.float32)


def cast_rays(mesh: Shape, directions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Compute the distance of the surface from the origin along each direction.

    Parameters
    ----------
    mesh : Shape
        A mesh within the unit ball.
    directions : (D, 3) float64 array
        Unit vectors.

    Returns
    -------
    distances : (D,) float64 array
        Distance of the farthest hit; 0 if there is none.
    hit : (D,) bool array
        True for rays that hit the surface.

    Raises
    ------
    UserError
        When embreex is not installed. Without it trimesh would silently use its own ray caster,
        which is hundreds of times slower.
    ObjectError
        When there is no mesh, or it extends beyond the ball.

    Notes
    -----
    Embree works in float32 and finds the triangle that is hit. The distance to the triangle's plane
    is computed in float64. Within 1e-6 of an edge, the neighbouring triangle's plane may be used.
    Very rarely a ray passes through an edge and the hit is missed.

    Examples
    --------
    >>> from trimesh.creation import box
    >>> cube = box((1.0, 1.0, 1.0))
    >>> distances, hit = cast_rays(Shape(cube.vertices, cube.faces), np.array([[0.6, 0.0, 0.8]]))
    >>> distances.round(6).tolist(), hit.tolist()
    ([0.625], [True])
    """
    require_embree()
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
    # A ray in the triangle's plane has no single hit: the middle of the corners is used.
    distances = np.where(np.isfinite(distances), distances, (corners.mean(axis=1) * directions).sum(axis=1))
    # A negative distance belongs to the opposite direction. Rounding may put a hit beyond its
    # triangle. The farthest corner bounds it.
    reach = np.linalg.norm(corners, axis=2).max(axis=1)
    hit = (face >= 0) & (distances >= 0)
    return np.where(hit, np.minimum(distances, reach), 0.0), hit


def require_embree() -> None:
    """Check that the fast ray caster is installed.

    Raises
    ------
    UserError
        When embreex is not installed.
    """
    try:
        import embreex.rtcore_scene  # noqa: F401
    except ImportError as error:
        raise UserError(
            "ray casting needs embreex", "not installed", "pip install 'spectral-ssl[embree]', or use --sphere shells"
        ) from error


@lru_cache(maxsize=8)
def build_grid_directions(degree: int) -> NDArray[np.float64]:
    """Return the directions of the Driscoll-Healy grid, (2L+2, 2L+2, 3): rows are colatitudes, columns azimuths.

    Examples
    --------
    >>> build_grid_directions(1).shape
    (4, 4, 3)
    """
    side = 2 * (degree + 1)
    theta, phi = np.meshgrid(np.arange(side) * np.pi / side, np.arange(side) * 2 * np.pi / side, indexing="ij")
    directions = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    directions.flags.writeable = False
    return directions


def transform_grid(values: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the spherical-harmonic coefficients of a function on the Driscoll-Healy grid.

    c_lm = integral of f(u) Y_lm(u) over the sphere. Source: Driscoll and Healy (1994), as
    implemented in SHTOOLS.

    Parameters
    ----------
    values : (2L+2, 2L+2) array of a floating dtype
        Values of the function at ``build_grid_directions(L)``.

    Returns
    -------
    ((L+1)^2,) float64 array
        Coefficients in lexicographic order of (l, m); real, orthonormal, without the
        Condon-Shortley phase.

    Raises
    ------
    UserError
        When the grid is not square with an even side.

    Notes
    -----
    The transform is exact for functions of degree up to L: 1e-13 at L = 63.

    Examples
    --------
    >>> height = build_grid_directions(3)[..., 2]  # the function cos(theta)
    >>> bool(np.isclose(transform_grid(height)[2], np.sqrt(4 * np.pi / 3)))  # c_10
    True
    """
    from pyshtools.expand import SHExpandDH  # The import takes a second.

    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.shape[0] % 2 or values.shape[0] < 4:
        raise UserError("shape of the grid", values.shape, "give (2L+2, 2L+2)")
    degree = values.shape[0] // 2 - 1
    cosine, sine = SHExpandDH(np.asarray(values, np.float64), norm=4, sampling=1, csphase=1, lmax_calc=degree)
    _, ell, m = list_indices(radial_basis(degree)).T
    return np.asarray(np.where(m >= 0, cosine[ell, np.abs(m)], sine[ell, np.abs(m)]))
