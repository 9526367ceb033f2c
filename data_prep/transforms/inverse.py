"""From coefficients back to something one can look at: a density, a cloud, a mesh.

What comes back depends on what the map holds::

    zernike  f(x) = sum of c_klm Z_klm(x)                       a density in the ball
    sh       f(x) = sum over lm of c_klm Y_lm(x / |x|) / V_k    with k the shell of x, V_k = integral of r^2 dr over it
    radial   r(u) = sum of c_lm Y_lm(u)                         a surface, one point in each direction

The first two are the least-squares approximations of the density of the cloud, mass one, within the span of the
basis. A surface is infinitely thin and its density infinitely high, so of finitely many orders comes a wall of
thickness about 1/n with ripples beside it: ``densest_cells`` keeps the ridge of the wall, ``density_mesh`` its skin.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.level_surface import level_surface
from data_prep.layout import unfold
from data_prep.source import Shape
from data_prep.transforms.shell_harmonics import spherical_harmonics
from data_prep.transforms.zernike import zernike_functions
from spectral_ssl.ground.errors import ObjectError, UserError

# Places evaluated at once: with 1771 functions 60 MB.
CHUNK = 4096
# Cells count as surface from the density on above which this share of all positive mass lies. Of 0.5 .. 0.9, and of
# fixed parts of the highest density, it gave the smallest Chamfer distances on ten ModelNet10 training meshes and six
# built-in shapes: on average 0.041, 0.032, 0.029 at Zernike orders 10, 20, 30, and 0.030 for 16 shells of degree 15.
SHARE = 0.7
# The same for the skin, which is better tight: 0.069 at order 10, 0.049 at 20 on the same shapes; 0.4 gives 0.064 and
# 0.048 but loses thin parts to the eye.
SKIN_SHARE = 0.5
# Half of the 26 neighbours without the 8 corners; the other half lies opposite.
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))


def density(maps: NDArray[Any], basis: Basis, places: NDArray[np.floating]) -> NDArray[np.float64]:
    """The density that maps describe, at places of the unit ball.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Of kind "zernike" or "sh".
    places : (P, 3) array of a floating dtype
        Within the unit ball.

    Returns
    -------
    (..., P) float64 array
        Ripples below zero are part of it.

    Raises
    ------
    UserError
        When the basis is of another kind or shapes do not fit.
    ObjectError
        When a place is not finite or lies outside the ball.

    Notes
    -----
    Relative to the largest value, the error is below 1e-11 up to degree 64.
    """
    if basis.kind not in ("zernike", "sh"):
        raise UserError("basis of a density", basis.kind, "give maps of basis zernike or sh (shells)")
    coefficients = unfold(maps, basis).astype(np.float64)
    flat = coefficients.reshape(-1, coefficients.shape[-1])
    functions = zernike_functions if basis.kind == "zernike" else _shell_functions
    values = np.empty((len(flat), len(places)))
    for start in range(0, len(places), CHUNK):
        values[:, start : start + CHUNK] = flat @ functions(places[start : start + CHUNK], basis).T
    return values.reshape(*coefficients.shape[:-1], len(places))


def density_grid(maps: NDArray[Any], basis: Basis, side: int = 48) -> NDArray[np.float64]:
    """The density on a grid of cubic cells that fills [-1, 1]^3; zero where a cell's middle is outside the ball.

    Parameters
    ----------
    maps, basis
        As for ``density``.
    side : int
        Cells along each axis, 4 to 256.

    Returns
    -------
    (..., side, side, side) float64 array
        Indexed by x, y, z; see ``cell_middles``.

    Raises
    ------
    UserError
        When the basis is of another kind or something is out of range.
    """
    middles = cell_middles(side).reshape(-1, 3)
    inside = np.linalg.norm(middles, axis=1) <= 1
    values = density(maps, basis, middles[inside])
    grid = np.zeros((*values.shape[:-1], side**3))
    grid[..., inside] = values
    return grid.reshape(*values.shape[:-1], side, side, side)


def cell_middles(side: int) -> NDArray[np.float64]:
    """The middles of the cells of ``density_grid``, (side, side, side, 3)."""
    if not 4 <= side <= 256:
        raise UserError("cells along an axis out of range", side, "give 4 to 256")
    axis = (np.arange(side) + 0.5) * 2 / side - 1
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def densest_cells(grid: NDArray[np.floating], share: float = SHARE) -> NDArray[np.float64]:
    """The cloud of the cells where the density is high and highest across the wall.

    Parameters
    ----------
    grid : (side, side, side) array of a floating dtype
        One density of ``density_grid``.
    share : float
        Part of the positive mass that is kept before thinning, 0 to 1.

    Returns
    -------
    (Q, 3) float64 array
        Middles of cells that are dense enough and in at least one of nine directions are no lower than both neighbours.

    Raises
    ------
    ObjectError
        When the density is nowhere positive or not finite.
    """
    threshold = _threshold(grid, share)
    border = np.pad(grid, 1)
    ridge = np.zeros(grid.shape, dtype=bool)
    for step in DIRECTIONS:
        ahead, behind = (border[tuple(slice(1 + sign * d, 1 + sign * d + len(grid)) for d in step)] for sign in (1, -1))
        ridge |= (grid >= ahead) & (grid >= behind)
    return cell_middles(len(grid))[ridge & (grid >= threshold)]


def density_mesh(grid: NDArray[np.floating], share: float = SKIN_SHARE) -> Shape:
    """The closed skin around all places of high density.

    Parameters
    ----------
    grid, share
        As for ``densest_cells``.

    Returns
    -------
    Shape
        A watertight mesh. A thin wall comes back with two sides.

    Raises
    ------
    ObjectError
        When the density is nowhere positive or not finite.
    """
    step = 2 / len(grid)
    return level_surface(grid, _threshold(grid, share), step, step / 2 - 1)


def radii(maps: NDArray[Any], basis: Basis, directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """The distance of the surface from the centre along directions.

    Parameters
    ----------
    maps : (..., 1, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Of kind "radial".
    directions : (D, 3) array of a floating dtype
        Need not have length one.

    Returns
    -------
    (..., D) float64 array
        May dip below zero where coefficients were cut off or generated.

    Raises
    ------
    UserError
        When the basis is of another kind or shapes do not fit.
    """
    if basis.kind != "radial":
        raise UserError("basis of radii", basis.kind, "give maps of basis radial (prep --basis sh --sphere radial)")
    harmonics = spherical_harmonics(np.asarray(directions, np.float64), basis.degree)
    return np.asarray(unfold(maps, basis).astype(np.float64) @ harmonics.T)


def star_mesh(single: NDArray[Any], basis: Basis, subdivisions: int = 4) -> Shape:
    """The surface u -> r(u) u as a mesh: a sphere of 20 4^subdivisions triangles moved in and out.

    Parameters
    ----------
    single : (1, L+1, L+1) array of a floating dtype
        One folded map, not standardised.
    basis : Basis
        Of kind "radial".
    subdivisions : int
        Of the icosahedron, 0 to 7.

    Returns
    -------
    Shape
        A watertight mesh. Negative radii are taken as zero.

    Raises
    ------
    UserError
        When the basis is of another kind or something is out of range.
    """
    from trimesh.creation import icosphere  # 0.6 s at import

    if not 0 <= subdivisions <= 7:
        raise UserError("subdivisions out of range", subdivisions, "give 0 to 7")
    sphere = icosphere(subdivisions)
    directions = np.asarray(sphere.vertices, np.float64)
    distances = np.maximum(radii(single, basis, directions), 0)
    return Shape(distances[:, None] * directions, np.asarray(sphere.faces, np.int64))


def reconstruct(single: NDArray[Any], basis: Basis, side: int = 48) -> Shape:
    """One map as a mesh, whatever its basis.

    Parameters
    ----------
    single : (K, L+1, L+1) array of a floating dtype
        One folded map, not standardised.
    basis : Basis
        Not of images.
    side : int
        Cells of the density grid along each axis, where there is one.

    Returns
    -------
    Shape
        A watertight mesh.

    Raises
    ------
    UserError
        When the basis is that of images or something is out of range.
    ObjectError
        When the map describes no surface.
    """
    return star_mesh(single, basis) if basis.kind == "radial" else density_mesh(density_grid(single, basis, side))


def _threshold(grid: NDArray[np.floating], share: float) -> float:
    """The density above which the share of the positive mass lies."""
    if grid.ndim != 3 or len(set(grid.shape)) != 1:
        raise UserError("shape of a density", grid.shape, "give (side, side, side)")
    if not 0 < share < 1:
        raise UserError("share of the mass out of range", share, "give more than 0 and less than 1")
    positive = np.sort(grid[grid > 0])[::-1].astype(np.float64)
    if not positive.size or not np.isfinite(grid).all():
        raise ObjectError("a density that is nowhere positive, or not finite")
    mass = np.cumsum(positive)
    return float(positive[np.searchsorted(mass, share * mass[-1])])


def _shell_functions(places: NDArray[np.floating], basis: Basis) -> NDArray[np.float64]:
    """The functions Y_lm(u) / V_k inside shell k, 0 elsewhere: (P, K (L+1)^2)."""
    points = np.asarray(places, np.float64)
    radius = np.linalg.norm(points, axis=1)
    if not np.all(radius <= 1 + 1e-6):
        raise ObjectError("a place is not finite or lies outside the unit ball")
    directions = np.where(radius[:, None] > 0, points, [0.0, 0.0, 1.0])
    harmonics = spherical_harmonics(directions, basis.degree)
    shell = np.minimum((radius * basis.radial).astype(np.int64), basis.radial - 1)
    volume = ((shell + 1) ** 3 - shell**3) / (3 * basis.radial**3)
    values = np.zeros((len(points), basis.radial, harmonics.shape[1]))
    values[np.arange(len(points)), shell] = harmonics / volume[:, None]
    return values.reshape(len(points), -1)
