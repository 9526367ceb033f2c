"""Reconstruct a density, a cloud or a mesh from coefficients.

The reconstruction depends on the kind of the basis::

    zernike  f(x) = sum of c_klm Z_klm(x)                       a density in the ball
    sh       f(x) = sum over lm of c_klm Y_lm(x / |x|) / V_k    with k the shell of x, V_k = integral of r^2 dr over it
    radial   r(u) = sum of c_lm Y_lm(u)                         a surface, one point in each direction

The first two are the least-squares approximations of the cloud's density, of mass one, within the
span of the basis. A surface is infinitely thin and its density infinitely high. With finitely many
orders it becomes a wall of thickness about 1/n with ripples next to it. ``find_densest_cells``
returns the ridge of the wall, ``build_density_mesh`` its skin.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.level_surface import extract_level_surface
from data_prep.layout import unfold
from data_prep.source import Shape
from data_prep.transforms.shell_harmonics import spherical_harmonics
from data_prep.transforms.zernike import zernike_functions
from spectral_ssl.ground.errors import ObjectError, UserError

# Points evaluated at once: with 1771 functions they need 60 MB.
CHUNK = 4096
# The densest cells that together hold this share of the positive mass count as surface. Among
# shares of 0.5 to 0.9, and fixed fractions of the highest density, it gave the smallest Chamfer
# distances on ten ModelNet10 training meshes and six built-in shapes: on average 0.041, 0.032,
# 0.029 at Zernike orders 10, 20, 30, and 0.030 for 16 shells of degree 15.
SHARE = 0.7
# The share for the skin. It is smaller, so that the skin is tight: 0.069 at order 10, 0.049 at 20
# on the same shapes, measured with marching tetrahedra. 0.4 gives 0.064 and 0.048 but visibly loses thin parts.
SKIN_SHARE = 0.5
# Half of the 26 neighbours without the 8 corners; the other half is opposite.
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))


def density(maps: NDArray[Any], basis: Basis, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Evaluate the density that maps describe, at points of the unit ball.

    It is ``f(x) = sum of c_klm Z_klm(x)`` for Zernike moments and ``f(x) = sum over lm of c_klm
    Y_lm(x / |x|) / V_k`` for shells; see the module's docstring.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        A basis of kind "zernike" or "sh".
    points : (P, 3) array of a floating dtype
        Points within the unit ball.

    Returns
    -------
    (..., P) float64 array
        Density at each point. Ripples can make it negative.

    Raises
    ------
    UserError
        When the basis is of another kind or shapes do not fit.
    ObjectError
        When a point is not finite or lies outside the ball.

    Notes
    -----
    The error relative to the largest value is below 1e-11 up to degree 64.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import density, fold, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=20)
    >>> maps = fold(zernike_moments([[[0.5, 0, 0]]], 20), basis)
    >>> at_mass, opposite = density(maps, basis, np.array([[0.5, 0, 0], [-0.5, 0, 0]]))[0]
    >>> bool(at_mass > 2 * abs(opposite))
    True
    """
    if basis.kind not in ("zernike", "sh"):
        raise UserError("basis of a density", basis.kind, "give maps of basis zernike or sh (shells)")
    coefficients = unfold(maps, basis).astype(np.float64)
    flat = coefficients.reshape(-1, coefficients.shape[-1])
    functions = zernike_functions if basis.kind == "zernike" else _shell_functions
    values = np.empty((len(flat), len(points)))
    for start in range(0, len(points), CHUNK):
        values[:, start : start + CHUNK] = flat @ functions(points[start : start + CHUNK], basis).T
    return values.reshape(*coefficients.shape[:-1], len(points))


def density_grid(maps: NDArray[Any], basis: Basis, side: int = 48) -> NDArray[np.float64]:
    """Evaluate the density on a grid of cubic cells that fills [-1, 1]^3.

    The density is zero in cells whose centre is outside the ball. Formula and error bound are those
    of ``density``.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        A basis of kind "zernike" or "sh".
    side : int
        Number of cells along each axis, 4 to 256.

    Returns
    -------
    (..., side, side, side) float64 array
        Density at the cell centres, indexed by x, y, z; see ``list_cell_centres``.

    Raises
    ------
    UserError
        When the basis is of another kind or an argument is out of range.

    Examples
    --------
    >>> from data_prep import density_grid, fold, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=20)
    >>> grid = density_grid(fold(zernike_moments([[[0.5, 0, 0]]], 20), basis), basis, side=16)
    >>> grid.shape
    (1, 16, 16, 16)
    >>> int(grid[0].max(axis=(1, 2)).argmax())  # x = 0.4375, the cell centre next to the mass
    11
    """
    centres = list_cell_centres(side).reshape(-1, 3)
    inside = np.linalg.norm(centres, axis=1) <= 1
    values = density(maps, basis, centres[inside])
    grid = np.zeros((*values.shape[:-1], side**3))
    grid[..., inside] = values
    return grid.reshape(*values.shape[:-1], side, side, side)


def list_cell_centres(side: int) -> NDArray[np.float64]:
    """Return the centres of the cells of ``density_grid``, (side, side, side, 3).

    Examples
    --------
    >>> from data_prep import list_cell_centres
    >>> list_cell_centres(4)[0, 0, 3].tolist()
    [-0.75, -0.75, 0.75]
    """
    if not 4 <= side <= 256:
        raise UserError("cells along an axis out of range", side, "give 4 to 256")
    axis = (np.arange(side) + 0.5) * 2 / side - 1
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)


def find_densest_cells(grid: NDArray[np.floating], share: float = SHARE) -> NDArray[np.float64]:
    """Find the cells on the ridge of the density: the reconstruction of a surface as a cloud.

    A cell is returned if its density reaches the threshold of ``share`` and if, in at least one of
    nine directions, it is not lower than both neighbours.

    Parameters
    ----------
    grid : (side, side, side) array of a floating dtype
        One density of ``density_grid``.
    share : float
        Share of the positive mass within the densest cells, before thinning, between 0 and 1.

    Returns
    -------
    (Q, 3) float64 array
        Centres of these cells.

    Raises
    ------
    UserError
        When the grid is not cubic or the share is out of range.
    ObjectError
        When the density is nowhere positive or not finite.

    Notes
    -----
    Measured mean Chamfer distances to the original surface are given at ``SHARE``.

    Examples
    --------
    >>> grid = np.zeros((8, 8, 8))
    >>> grid[2, 3, 4] = 1.0
    >>> find_densest_cells(grid).tolist()
    [[-0.375, -0.125, 0.125]]
    """
    threshold = _threshold(grid, share)
    border = np.pad(grid, 1)
    ridge = np.zeros(grid.shape, dtype=bool)
    for step in DIRECTIONS:
        ahead, behind = (border[tuple(slice(1 + sign * d, 1 + sign * d + len(grid)) for d in step)] for sign in (1, -1))
        ridge |= (grid >= ahead) & (grid >= behind)
    return list_cell_centres(len(grid))[ridge & (grid >= threshold)]


def build_density_mesh(grid: NDArray[np.floating], share: float = SKIN_SHARE) -> Shape:
    """Build the closed surface around all cells of high density, by marching cubes.

    Source: see ``data_prep.geometry.level_surface``.

    Parameters
    ----------
    grid : (side, side, side) array of a floating dtype
        One density of ``density_grid``.
    share : float
        Share of the positive mass above the threshold, between 0 and 1.

    Returns
    -------
    Shape
        A watertight mesh. A thin wall gets two sides.

    Raises
    ------
    UserError
        When the grid is not cubic or the share is out of range.
    ObjectError
        When the density is nowhere positive or not finite.

    Notes
    -----
    Measured mean Chamfer distances to the original surface are given at ``SKIN_SHARE``.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import build_density_mesh, list_cell_centres
    >>> x, y, z = np.moveaxis(list_cell_centres(16), -1, 0)
    >>> mesh = build_density_mesh(np.exp(-8 * (x**2 + y**2 + z**2)))
    >>> mesh.points.shape[1], mesh.faces.shape[1]
    (3, 3)
    """
    step = 2 / len(grid)
    return extract_level_surface(grid, _threshold(grid, share), step, step / 2 - 1)


def radii(maps: NDArray[Any], basis: Basis, directions: NDArray[np.floating]) -> NDArray[np.float64]:
    """Evaluate r(u) = sum of c_lm Y_lm(u), the distance of the surface from the centre, along directions.

    Parameters
    ----------
    maps : (..., 1, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        A basis of kind "radial".
    directions : (D, 3) array of a floating dtype
        Vectors of any length except zero.

    Returns
    -------
    (..., D) float64 array
        Distances. They can be negative if coefficients were truncated or generated.

    Raises
    ------
    UserError
        When the basis is of another kind or shapes do not fit.

    Notes
    -----
    The error is at most that of ``spherical_harmonics`` in float64, 4e-12 at L = 100, times the sum
    of ``|c_lm|``.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import radial_basis, radii
    >>> basis = radial_basis(degree=3)
    >>> sphere = np.zeros(basis.shape)
    >>> sphere[0, 0, 0] = 0.5 * np.sqrt(4 * np.pi)
    >>> radii(sphere, basis, np.array([[1.0, 0, 0], [0, 0, -2]])).round(12).tolist()
    [0.5, 0.5]
    """
    if basis.kind != "radial":
        raise UserError("basis of radii", basis.kind, "give maps of basis radial (prep --basis sh --sphere radial)")
    harmonics = spherical_harmonics(np.asarray(directions, np.float64), basis.degree)
    return np.asarray(unfold(maps, basis).astype(np.float64) @ harmonics.T)


def build_star_mesh(single: NDArray[Any], basis: Basis, subdivisions: int = 4) -> Shape:
    """Build the surface u -> r(u) u as a mesh: a sphere of 20 4^subdivisions triangles with moved vertices.

    r(u) = sum of c_lm Y_lm(u), as in ``radii``; the sphere is a subdivided icosahedron.

    Parameters
    ----------
    single : (1, L+1, L+1) array of a floating dtype
        One folded map, not standardised.
    basis : Basis
        A basis of kind "radial".
    subdivisions : int
        Number of subdivisions of the icosahedron, 0 to 7.

    Returns
    -------
    Shape
        A watertight mesh. Negative radii become zero.

    Raises
    ------
    UserError
        When the basis is of another kind or an argument is out of range.

    Notes
    -----
    The vertices have the error of ``radii``; between them the surface is flat.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import build_star_mesh, radial_basis
    >>> basis = radial_basis(degree=3)
    >>> sphere = np.zeros(basis.shape)
    >>> sphere[0, 0, 0] = 0.5 * np.sqrt(4 * np.pi)
    >>> build_star_mesh(sphere, basis, subdivisions=1).faces.shape
    (80, 3)
    """
    from trimesh.creation import icosphere  # 0.6 s at import

    if not 0 <= subdivisions <= 7:
        raise UserError("subdivisions out of range", subdivisions, "give 0 to 7")
    sphere = icosphere(subdivisions)
    directions = np.asarray(sphere.vertices, np.float64)
    distances = np.maximum(radii(single, basis, directions), 0)
    return Shape(distances[:, None] * directions, np.asarray(sphere.faces, np.int64))


def reconstruct(single: NDArray[Any], basis: Basis, side: int = 48) -> Shape:
    """Reconstruct a mesh from one map of any basis except that of images.

    A map of kind "radial" goes through ``build_star_mesh``, any other map through ``density_grid``
    and ``build_density_mesh``. Formulas, sources and errors are there.

    Parameters
    ----------
    single : (K, L+1, L+1) array of a floating dtype
        One folded map, not standardised.
    basis : Basis
        Any basis except that of images.
    side : int
        Number of cells of the density grid along each axis; a map of kind "radial" has no grid.

    Returns
    -------
    Shape
        A watertight mesh.

    Raises
    ------
    UserError
        When the basis is that of images or an argument is out of range.
    ObjectError
        When the map describes no surface.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import fold, harmonics_basis, reconstruct, shell_moments
    >>> basis = harmonics_basis(degree=4, radial=4)
    >>> points = np.random.default_rng(0).normal(size=(1, 200, 3))
    >>> points /= 2 * np.linalg.norm(points, axis=2, keepdims=True)  # a sphere of radius 0.5
    >>> mesh = reconstruct(fold(shell_moments(points, 4, 4), basis)[0], basis, side=12)
    >>> mesh.points.shape[1], mesh.faces.shape[1]
    (3, 3)
    """
    return (
        build_star_mesh(single, basis)
        if basis.kind == "radial"
        else build_density_mesh(density_grid(single, basis, side))
    )


def _threshold(grid: NDArray[np.floating], share: float) -> float:
    """Find the density above which this share of the positive mass lies."""
    if grid.ndim != 3 or len(set(grid.shape)) != 1:
        raise UserError("shape of a density", grid.shape, "give (side, side, side)")
    if not 0 < share < 1:
        raise UserError("share of the mass out of range", share, "give more than 0 and less than 1")
    positive = np.sort(grid[grid > 0])[::-1].astype(np.float64)
    if not positive.size or not np.isfinite(grid).all():
        raise ObjectError("the density is nowhere positive, or not finite")
    mass = np.cumsum(positive)
    return float(positive[np.searchsorted(mass, share * mass[-1])])


def _shell_functions(points: NDArray[np.floating], basis: Basis) -> NDArray[np.float64]:
    """Evaluate the functions Y_lm(u) / V_k inside shell k, 0 elsewhere: (P, K (L+1)^2)."""
    positions = np.asarray(points, np.float64)
    radius = np.linalg.norm(positions, axis=1)
    if not np.all(radius <= 1 + 1e-6):
        raise ObjectError("a point is not finite or lies outside the unit ball")
    directions = np.where(radius[:, None] > 0, positions, [0.0, 0.0, 1.0])
    harmonics = spherical_harmonics(directions, basis.degree)
    shell = np.minimum((radius * basis.radial).astype(np.int64), basis.radial - 1)
    volume = ((shell + 1) ** 3 - shell**3) / (3 * basis.radial**3)
    values = np.zeros((len(positions), basis.radial, harmonics.shape[1]))
    values[np.arange(len(positions)), shell] = harmonics / volume[:, None]
    return values.reshape(len(positions), -1)
