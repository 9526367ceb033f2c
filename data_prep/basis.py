"""What an array of coefficients means. A Basis travels with every such array, in memory and in files.

Conventions: real, orthonormal functions without the Condon-Shortley phase; +z is up.

Coefficients are addressed by (k, l, m): radial channel k, angular degree l, order m = -l..l. They are listed in
lexicographic order of (k, l, m) wherever they form a vector, and in the folded square layout of ``data_prep.layout``
wherever they form a map.

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
from typing import Any, Literal, get_args

from spectral_ssl.ground.errors import UserError, unknown_name

Kind = Literal["zernike", "sh", "radial", "pixels"]
Sampling = Literal["area", "farthest", "quadrature", "solid"]
Centre = Literal["mean", "area"]
Truncation = Literal["triangular", "rectangular", "none"]

PAIR = "image-pair"
DIRECTIONS = ("AtoB", "BtoA")

# Degrees up to which the float64 recurrences were checked against high-precision values (tests/data_prep).
HIGHEST_DEGREE = 100


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The meaning of a map.

    Attributes
    ----------
    kind : {"zernike", "sh", "radial", "pixels"}
        3D Zernike moments, spherical harmonics in radial shells, spherical harmonics of the distance of the surface
        from the centre, or plain images.
    degree : int
        Highest polynomial order n (triangular) or highest angular degree l (rectangular); 0 for images.
    radial : int
        Number of radial channels K (zernike: k; sh: shells); for images the number of colour channels.
    truncation : {"triangular", "rectangular", "none"}
        Which (k, l) are present, see the table above.
    shape : tuple of int
        (channels, height, width) of one map.
    normalization, phase, layout : str
        Conventions, spelled out so that files say them. The layout is "folded" for coefficients, "image" for pictures,
        "image-pair" for two pictures: the left one's channels (A), then as many of the right one (B).
    up : str
        The axis that points up in the maps.
    points : int
        Points drawn (or kept) per object; 0 where it does not apply.
    seed : int
        Seed of the drawing.
    sampling : {"area", "farthest", "quadrature", "solid"}
        How meshes become points: stratified by area, farthest points, exact quadrature of the surface; or of the solid
        inside it. Clouds stay as they are.
    centre : {"mean", "area"}
        What comes to lie at the origin: the mean of the points, or the area-weighted centroid where there is a mesh.
    reach : float
        The part of the points that the unit sphere holds, see ``unit_ball``.

    The last three came later: files without them were made with the defaults.
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

    def to_json(self) -> str:
        """The basis as a JSON object with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Basis":
        """Read what ``to_json`` wrote.

        Raises
        ------
        UserError
            When the text is not the JSON of a basis.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["shape"] = tuple(int(side) for side in values["shape"])
            basis = Basis(**values)
            if rebuild(basis) != basis:
                raise ValueError("its fields contradict each other")
            return basis
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(
                "unreadable basis", f"{text[:60]!r} ({error})", "prepare the file again with this version"
            ) from error

    def conflicts(self, other: "Basis") -> list[str]:
        """Fields in which two bases differ so that maps of the one mean nothing in the other.

        What changes the sampling noise and not the meaning never conflicts: ``points``, ``seed``, ``sampling`` of the
        surface, and ``centre``, whose two choices are the same place up to that noise. Solids are other objects than
        surfaces, and ``reach`` changes the objects' size.
        """
        different = [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]
        noise = {"points", "seed", "centre"}
        if "solid" not in (self.sampling, other.sampling):
            noise.add("sampling")
        return [
            f"{name} {getattr(self, name)} against {getattr(other, name)}" for name in different if name not in noise
        ]


def zernike_basis(degree: int = 20, radial: int | None = None, points: int = 2048, seed: int = 0) -> Basis:
    """3D Zernike moments: triangular up to order ``degree``, or rectangular ``[radial, degree+1, degree+1]``.

    Parameters
    ----------
    degree : int
        Highest order n (``radial`` not given) or highest angular degree (``radial`` given), 1 to 100.
    radial : int, optional
        Number of radial channels of the rectangular truncation.
    points, seed : int
        Recorded with the coefficients.

    Raises
    ------
    UserError
        When a number is out of range.
    """
    _check_degree(degree)
    if radial is None:
        channels = degree // 2 + 1
        truncation: Truncation = "triangular"
    else:
        _check_range("number of radial channels", radial, 1, 64)
        # order n = l + 2k of the last channel must stay where the recurrences were checked
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
    """Spherical harmonics of point masses in ``radial`` shells of equal width.

    Parameters
    ----------
    degree : int
        Highest angular degree l, 1 to 100.
    radial : int
        Number of shells.
    points, seed : int
        Recorded with the coefficients.

    Raises
    ------
    UserError
        When a number is out of range.
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
    """Spherical harmonics of r(u), the distance of the surface from the centre in direction u (see ``ray_casting``).

    Parameters
    ----------
    degree : int
        Highest angular degree l, 1 to 100; the default fills 64 x 64 cells.

    Raises
    ------
    UserError
        When the degree is out of range.
    """
    _check_degree(degree)
    return Basis(kind="radial", degree=degree, radial=1, truncation="rectangular", shape=(1, degree + 1, degree + 1))


def pixel_basis(channels: int, height: int, width: int, *, paired: bool = False) -> Basis:
    """Plain images: a map is the picture itself, scaled to [-1, 1], or two pictures one after the other."""
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
    )


def rebuild(basis: Basis) -> Basis:
    """The basis as its own function would make it: what differs from it contradicts itself.

    Raises
    ------
    UserError
        When a number is out of range, or there is no such kind.
    """
    if basis.kind == "pixels":
        return pixel_basis(*basis.shape, paired=basis.layout == PAIR)
    for number in (basis.degree, basis.radial, basis.points, basis.seed):
        if not isinstance(number, int):
            raise TypeError(f"{number!r} is not a whole number")
    if basis.sampling not in get_args(Sampling) or basis.centre not in get_args(Centre) or not 0 < basis.reach <= 1:
        raise ValueError(f"sampling {basis.sampling!r}, centre {basis.centre!r}, reach {basis.reach!r}")
    if basis.kind == "zernike":
        radial = None if basis.truncation == "triangular" else basis.radial
        made = zernike_basis(basis.degree, radial, basis.points, basis.seed)
    elif basis.kind == "sh":
        made = harmonics_basis(basis.degree, basis.radial, basis.points, basis.seed)
    elif basis.kind == "radial":
        made = radial_basis(basis.degree)
    else:
        raise ValueError(f"kind {basis.kind!r}")
    return replace(made, sampling=basis.sampling, centre=basis.centre, reach=basis.reach)


def split_pair_channels(basis: Basis, direction: str = "AtoB") -> tuple[slice, slice]:
    """Which channels of a map of two pictures are the condition, and which the target.

    A file serves both directions: the choice belongs to the task, not to the data.

    Parameters
    ----------
    basis : Basis
        That of a map file of paired images.
    direction : {"AtoB", "BtoA"}
        From the left picture to the right one, or back.

    Returns
    -------
    condition, target : slice

    Raises
    ------
    UserError
        When the maps are no pairs, or there is no such direction.
    """
    if basis.layout != PAIR:
        raise UserError("not a map file of paired images", f"layout {basis.layout!r}", "prepare facades or pairs:PATH")
    if direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    half = basis.shape[0] // 2
    left, right = slice(0, half), slice(half, 2 * half)
    return (left, right) if direction == "AtoB" else (right, left)


def _check_degree(degree: int) -> None:
    _check_range("degree", degree, 1, HIGHEST_DEGREE)


def _check_range(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UserError(f"{what} out of range", value, f"give one from {low} to {high}")
