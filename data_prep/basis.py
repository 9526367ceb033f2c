"""The meaning of an array of coefficients. Every such array, in memory and in files, has a Basis.

Conventions: real, orthonormal functions without the Condon-Shortley phase; +z is up.

A coefficient has the address (k, l, m): radial channel k, angular degree l, order m = -l..l. In a
vector coefficients are in lexicographic order of (k, l, m). In a map they have the folded square
layout of ``data_prep.layout``.

==========  ============  =========================================  =======================
kind        truncation    radial channel k                           degrees l of channel k
==========  ============  =========================================  =======================
zernike     triangular    polynomial order n = l + 2k, n <= degree   0 .. degree - 2k
zernike     rectangular   polynomial order n = l + 2k                0 .. degree
sh          rectangular   shell k: k/K <= r < (k+1)/K                0 .. degree
radial      rectangular   only 0: the distance of the surface        0 .. degree
pixels      none          an image's colour channel                  -
==========  ============  =========================================  =======================
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from typing import Any, Literal, get_args

from spectral_ssl.ground.errors import UserError, unknown_name

Kind = Literal["zernike", "sh", "radial", "pixels"]
Sampling = Literal["area", "farthest", "quadrature", "solid"]
Centre = Literal["mean", "area"]
Truncation = Literal["triangular", "rectangular", "none"]
Ground = Literal["white", "grey", "black"]

PAIR = "image-pair"

# Tests in tests/data_prep compare the float64 recurrences with high-precision values up to this degree.
HIGHEST_DEGREE = 100


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The meaning of a map.

    Files without ``sampling``, ``centre``, ``reach``, ``ground`` and ``full_scale`` have the
    defaults.

    Attributes
    ----------
    kind : {"zernike", "sh", "radial", "pixels"}
        3D Zernike moments, spherical harmonics in radial shells, spherical harmonics of the
        distance of the surface from the centre, or plain images.
    degree : int
        Highest polynomial order n (triangular) or highest angular degree l (rectangular); 0 for
        images.
    radial : int
        Number of radial channels K (zernike: k; sh: shells); for images the number of colour
        channels.
    truncation : {"triangular", "rectangular", "none"}
        The rule for which (k, l) are present; see the table in the module's docstring.
    shape : tuple of int
        (channels, height, width) of one map.
    normalization, phase, layout : str
        Conventions, stored so that files document themselves. The layout is "folded" for
        coefficients, "image" for images, and "image-pair" for two images: the channels of the left
        image (A), then as many channels of the right image (B).
    up : str
        The axis that points up in the maps.
    points : int
        Number of points sampled per object; 0 if it does not apply.
    seed : int
        Seed of the sampling.
    sampling : {"area", "farthest", "quadrature", "solid"}
        Method that turns meshes into points: sampling stratified by area, farthest-point sampling,
        exact quadrature of the surface, or exact quadrature of the solid inside it. It does not
        apply to clouds.
    centre : {"mean", "area"}
        The point that moves to the origin: the mean of the points, or the area-weighted centroid of
        a mesh.
    reach : float
        The fraction of the points within the unit sphere, see ``data_prep.geometry.unit_ball``.
    ground : {"white", "grey", "black"}
        The colour behind transparent parts of images.
    full_scale : float or None
        The value of grey images with more than 8 bits that becomes white; None for that of the file's type,
        see ``data_prep.readers.images.rules``.

    Examples
    --------
    >>> from data_prep import Basis, zernike_basis
    >>> basis = zernike_basis(degree=20)
    >>> basis.kind, basis.truncation, basis.shape
    ('zernike', 'triangular', (11, 21, 21))
    >>> Basis.from_json(basis.to_json()) == basis
    True
    >>> basis.find_conflicts(zernike_basis(degree=10))
    ['degree 20 against 10', ...]
    """

    kind: Kind
    degree: int
    radial: int
    truncation: Truncation
    shape: tuple[int, int, int]
    normalization: str = "orthonormal"
    phase: str = "no-condon-shortley"
    layout: str = "folded"
    up: str = "+z"
    points: int = 0
    seed: int = 0
    sampling: Sampling = "area"
    centre: Centre = "mean"
    reach: float = 1.0
    ground: Ground = "white"
    full_scale: float | None = None

    def to_json(self) -> str:
        """Write the basis as a JSON object with sorted keys.

        The rules of images are left out where they are the defaults. So the text, which is part of
        the digests of map files, stays that of earlier versions.
        """
        values = asdict(self)
        for name in ("ground", "full_scale"):
            if values[name] == getattr(Basis, name):
                del values[name]
        return json.dumps(values, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Basis":
        """Read a basis from the text that ``to_json`` writes.

        Raises
        ------
        UserError
            When the text is not the JSON of a basis.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["shape"] = tuple(int(side) for side in values["shape"])
            basis = Basis(**values)
            if _rebuild(basis) != basis:
                raise ValueError("its fields contradict each other")
            return basis
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(
                "unreadable basis", f"{text[:60]!r} ({error})", "prepare the file again with this version"
            ) from error

    def find_conflicts(self, other: "Basis") -> list[str]:
        """List the fields that make maps of one basis meaningless in the other.

        Fields that change only the sampling noise never conflict: ``points``, ``seed``,
        ``sampling`` of the surface, and ``centre``, whose two choices agree up to that noise. A
        solid differs from its surface, so "solid" conflicts. ``reach`` conflicts because it changes
        the objects' size.
        """
        different = [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]
        noise = {"points", "seed", "centre"}
        if "solid" not in (self.sampling, other.sampling):
            noise.add("sampling")
        return [
            f"{name} {getattr(self, name)} against {getattr(other, name)}" for name in different if name not in noise
        ]


def zernike_basis(degree: int = 20, radial: int | None = None, points: int = 2048, seed: int = 0) -> Basis:
    """Build the basis of 3D Zernike moments Omega_klm, see ``data_prep.transforms.zernike`` for formulas and source.

    Parameters
    ----------
    degree : int
        Highest order n (``radial`` not given) or highest angular degree (``radial`` given), 1 to 100.
    radial : int, optional
        Number of radial channels of the rectangular truncation; triangular by default.
    points, seed : int
        Number of sampled points and seed, recorded with the coefficients.

    Returns
    -------
    Basis
        Maps have shape (degree//2 + 1, degree+1, degree+1), or (radial, degree+1, degree+1).

    Raises
    ------
    UserError
        When a number is out of range.

    Notes
    -----
    Up to order 100 the functions are within 1e-12 of high-precision values.

    Examples
    --------
    >>> from data_prep import zernike_basis
    >>> zernike_basis(degree=20).shape
    (11, 21, 21)
    >>> zernike_basis(degree=15, radial=8).shape
    (8, 16, 16)
    """
    _check_degree(degree)
    if radial is None:
        channels = degree // 2 + 1
        truncation: Truncation = "triangular"
    else:
        _check_range("number of radial channels", radial, 1, 64)
        # The order n = l + 2k of the last channel must stay within the tested range of the recurrences.
        _check_range("highest order degree + 2 (radial - 1)", degree + 2 * (radial - 1), 0, HIGHEST_DEGREE)
        channels, truncation = radial, "rectangular"
    return Basis(
        kind="zernike",
        degree=degree,
        radial=channels,
        truncation=truncation,
        shape=(channels, degree + 1, degree + 1),
        points=points,
        seed=seed,
    )


def harmonics_basis(degree: int = 15, radial: int = 8, points: int = 2048, seed: int = 0) -> Basis:
    """Build the basis of spherical harmonics of point masses in ``radial`` shells of equal width.

    Formulas and source are in ``data_prep.transforms.shell_harmonics``.

    Parameters
    ----------
    degree : int
        Highest angular degree l, 1 to 100.
    radial : int
        Number of shells, 1 to 64.
    points, seed : int
        Number of sampled points and seed, recorded with the coefficients.

    Returns
    -------
    Basis
        Maps have shape (radial, degree+1, degree+1).

    Raises
    ------
    UserError
        When a number is out of range.

    Notes
    -----
    Up to degree 100 the functions are within 1e-13 of high-precision values.

    Examples
    --------
    >>> from data_prep import harmonics_basis
    >>> harmonics_basis(degree=15, radial=8).shape
    (8, 16, 16)
    """
    _check_degree(degree)
    _check_range("number of shells", radial, 1, 64)
    return Basis(
        kind="sh",
        degree=degree,
        radial=radial,
        truncation="rectangular",
        shape=(radial, degree + 1, degree + 1),
        points=points,
        seed=seed,
    )


def radial_basis(degree: int = 63) -> Basis:
    """Build the basis of spherical harmonics of r(u), the distance of the surface from the centre along u.

    Formulas and source are in ``data_prep.transforms.radial_harmonics``.

    Parameters
    ----------
    degree : int
        Highest angular degree l, 1 to 100; the default fills 64 x 64 cells.

    Returns
    -------
    Basis
        Maps have shape (1, degree+1, degree+1).

    Raises
    ------
    UserError
        When the degree is out of range.

    Notes
    -----
    Up to degree 100 the functions are within 1e-13 of high-precision values.

    Examples
    --------
    >>> from data_prep import radial_basis
    >>> radial_basis().shape
    (1, 64, 64)
    """
    _check_degree(degree)
    return Basis(kind="radial", degree=degree, radial=1, truncation="rectangular", shape=(1, degree + 1, degree + 1))


def pixel_basis(
    channels: int,
    height: int,
    width: int,
    *,
    paired: bool = False,
    ground: Ground = "white",
    full_scale: float | None = None,
) -> Basis:
    """Build the basis of plain images: a map is the image, scaled to [-1, 1] by value / 127.5 - 1.

    Parameters
    ----------
    channels : int
        Number of colour channels; of both images together if they are paired.
    height, width : int
        Size of an image in pixels.
    paired : bool
        Whether a map holds two images, one after the other in its channels.
    ground : {"white", "grey", "black"}
        The colour behind transparent parts.
    full_scale : float, optional
        The value of grey images with more than 8 bits that becomes white; by default that of the file's type.

    Returns
    -------
    Basis
        Maps have shape (channels, height, width).

    Raises
    ------
    UserError
        When there is no such ground, or the full scale is not positive and finite.

    Notes
    -----
    The scaling has the rounding error of float32, 6e-8.

    Examples
    --------
    >>> from data_prep import pixel_basis
    >>> pixel_basis(3, 32, 32).layout
    'image'
    >>> pixel_basis(6, 256, 256, paired=True).layout
    'image-pair'
    """
    if ground not in get_args(Ground):
        raise unknown_name("ground", ground, get_args(Ground))
    if full_scale is not None and not 0 < full_scale < inf:
        raise UserError("full scale out of range", full_scale, "give a positive number")
    return Basis(
        kind="pixels",
        degree=0,
        radial=channels,
        truncation="none",
        shape=(channels, height, width),
        normalization="-1..1",
        phase="none",
        layout=PAIR if paired else "image",
        up="none",
        ground=ground,
        full_scale=full_scale,
    )


def _rebuild(basis: Basis) -> Basis:
    """Build the basis again from its main fields; a different result means that its fields contradict each other.

    Raises
    ------
    UserError
        When a number is out of range, or there is no such kind.
    """
    if basis.kind == "pixels":
        paired, ground, full_scale = basis.layout == PAIR, basis.ground, basis.full_scale
        return pixel_basis(*basis.shape, paired=paired, ground=ground, full_scale=full_scale)
    for number in (basis.degree, basis.radial, basis.points, basis.seed):
        if not isinstance(number, int):
            raise TypeError(f"{number!r} is not a whole number")
    if basis.sampling not in get_args(Sampling) or basis.centre not in get_args(Centre) or not 0 < basis.reach <= 1:
        raise ValueError(f"sampling {basis.sampling!r}, centre {basis.centre!r}, reach {basis.reach!r}")
    if basis.kind == "zernike":
        radial = None if basis.truncation == "triangular" else basis.radial
        built = zernike_basis(basis.degree, radial, basis.points, basis.seed)
    elif basis.kind == "sh":
        built = harmonics_basis(basis.degree, basis.radial, basis.points, basis.seed)
    elif basis.kind == "radial":
        built = radial_basis(basis.degree)
    else:
        raise ValueError(f"kind {basis.kind!r}")
    return replace(built, sampling=basis.sampling, centre=basis.centre, reach=basis.reach)


def _check_degree(degree: int) -> None:
    _check_range("degree", degree, 1, HIGHEST_DEGREE)


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UserError(f"{what} out of range", value, f"give {low} to {high}")
