"""Transform of one shape to its map: sample or compute points, move them into the unit ball, transform, fold."""

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

# Farthest points are chosen among this many times as many points, stratified by area.
CANDIDATES = 4
# Fewer points always lie in a plane: they are no shape.
FEWEST_POINTS = 4


def samples_points(kind: str, sampling: str) -> bool:
    """Tell whether maps of a kind of basis are computed from sampled points, which can be stored with them.

    Examples
    --------
    >>> samples_points("zernike", "area"), samples_points("zernike", "solid"), samples_points("pixels", "area")
    (True, False, False)
    """
    return kind in ("zernike", "sh") and sampling not in ("quadrature", "solid")


def shape_to_map(
    shape: Shape, basis: Basis, up: Up, generator: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Transform a mesh or a cloud to its map.

    Parameters
    ----------
    shape : Shape
        The object in the units of its file.
    basis : Basis
        The basis of the map.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the object.
    generator : numpy.random.Generator
        Generator for sampling points.

    Returns
    -------
    map : ndarray, shape ``basis.shape``, float32
    cloud : ndarray, shape (basis.points, 3), float32, or None
        The sampled points; None if the map comes from the mesh itself.

    Raises
    ------
    ObjectError
        When the object is unusable.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Shape, shape_to_map, zernike_basis
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> square = Shape(corners, faces=np.array([[0, 1, 2], [0, 2, 3]]))

    >>> values, cloud = shape_to_map(square, zernike_basis(degree=4), "+z", np.random.default_rng(0))
    >>> values.shape, cloud.shape
    ((3, 5, 5), (2048, 3))
    """
    if is_sampled(shape, basis):
        cloud = sample_cloud(shape, basis, up, generator)
        return cloud_to_map(cloud, basis), cloud
    if basis.kind == "radial":
        return compute_radial_map(move_mesh_to_unit_ball(shape, up), basis), None
    if basis.sampling == "solid":
        points, weights = _compute_solid_nodes(shape, basis, up)
    else:
        points, weights = _compute_surface_nodes(move_mesh_to_unit_ball(shape, up), basis)
    return cloud_to_map(points, basis, weights), None


def is_sampled(shape: Shape, basis: Basis) -> bool:
    """Tell whether the map of a shape comes from sampled points, not from the mesh itself."""
    if basis.kind == "radial" or basis.sampling == "solid":
        return False
    return shape.faces is None or basis.sampling != "quadrature"


def sample_cloud(shape: Shape, basis: Basis, up: Up, generator: np.random.Generator) -> NDArray[np.float32]:
    """Sample the points of a shape from which its map is computed.

    Parameters
    ----------
    shape : Shape
        The object in the units of its file; its map ``is_sampled``.
    basis : Basis
        The basis of the map.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the object.
    generator : numpy.random.Generator
        Generator for sampling points.

    Returns
    -------
    ndarray, shape (basis.points, 3), float32
        Points in the unit ball with +z up.

    Raises
    ------
    ObjectError
        When the object is unusable.
    """
    centre = compute_surface_centroid(shape) if shape.faces is not None and basis.centre == "area" else None
    return move_to_unit_ball(_sample(shape, basis, generator), up, centre=centre, reach=basis.reach)


def cloud_to_map(
    cloud: NDArray[np.floating], basis: Basis, weights: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Transform a cloud (P, 3) in the unit ball with +z up to its map, shape ``basis.shape``, float32.

    Raises
    ------
    ObjectError
        When a point is not finite or lies outside the ball.
    """
    return clouds_to_maps(cloud[None], basis, weights)[0]


def clouds_to_maps(
    clouds: NDArray[np.floating], basis: Basis, weights: NDArray[np.floating] | None = None, threads: int = 1
) -> NDArray[np.float32]:
    """Transform clouds (B, P, 3) in the unit ball with +z up to maps (B, *basis.shape), float32.

    Parameters
    ----------
    clouds : ndarray, shape (B, P, 3)
        Clouds of equal size.
    basis : Basis
        A basis of kind "zernike" or "sh".
    weights : ndarray, shape (P,) or (B, P), optional
        Mass of each point; 1/P each by default.
    threads : int
        Number of clouds processed at the same time; the maps do not depend on it.

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
    """Move a mesh: +z up, the centroid of its surface at the origin, its farthest vertex just inside the unit sphere.

    Vertices that no triangle uses are dropped.

    Parameters
    ----------
    shape : Shape
        The mesh in the units of its file.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the mesh.
    centre : ndarray, shape (3,), optional
        The point that moves to the origin, in the mesh's units.

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
    """Return the highest polynomial order n of a Zernike basis."""
    return basis.degree if basis.truncation == "triangular" else basis.degree + 2 * (basis.radial - 1)


def check_settings(basis: Basis, keep_points: bool) -> None:
    """Raise a UserError if settings contradict each other.

    Raises
    ------
    UserError
        When ``keep_points`` meets a map that is not made from points, quadrature meets a basis
        other than Zernike moments, or embreex is missing for a basis of kind "radial".
    """
    if basis.kind == "radial":
        require_embree()
        if keep_points:
            raise UserError("--keep-points with --sphere radial", "no points are sampled", "leave it out")
    if basis.sampling not in ("quadrature", "solid"):
        return
    if basis.kind != "zernike":
        # Shell functions jump from shell to shell, and no polynomial rule integrates jumps.
        raise UserError(
            f"--sampling {basis.sampling} without Zernike moments", basis.kind, "use --sampling area or --basis zernike"
        )
    if basis.sampling == "solid" and basis.reach != 1:
        raise UserError("--reach with --sampling solid", basis.reach, "leave it out: there are no stray points")
    if keep_points:
        raise UserError(f"--keep-points with {basis.sampling}", "no points are sampled", "use --sampling area")


def _sample(shape: Shape, basis: Basis, generator: np.random.Generator) -> NDArray[np.float64]:
    if shape.faces is None:
        if len(shape.points) < FEWEST_POINTS:
            count = len(shape.points)
            raise ObjectError(f"a cloud of {count} point{'s' * (count != 1)}, at least {FEWEST_POINTS} are needed")
        return resample_cloud(shape.points, basis.points, generator)
    if basis.sampling == "farthest":
        return sample_farthest_points(
            sample_surface(shape, CANDIDATES * basis.points, generator), basis.points, generator
        )
    return sample_surface(shape, basis.points, generator)


def _compute_solid_nodes(shape: Shape, basis: Basis, up: Up) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    mesh = move_mesh_to_unit_ball(shape, up, compute_solid_centroid(shape))
    return compute_solid_quadrature(mesh, get_highest_order(basis))


def _compute_surface_nodes(mesh: Shape, basis: Basis) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    points, weights = compute_surface_quadrature(mesh, get_highest_order(basis))
    if basis.reach == 1:
        return points, weights
    return move_to_unit_ball(points, weights=weights, reach=basis.reach), weights
