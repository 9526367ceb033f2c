"""Names of the columns of a table: which of them are the coordinates, and names that say that the table is no cloud."""

import re
from collections.abc import Sequence

from spectral_ssl.ground.errors import ObjectError

AXES = ("x", "y", "z")
# Names that are coordinates as they stand. Heights are given in many words.
WHOLE_NAMES = (AXES, *(("easting", "northing", up) for up in ("elevation", "height", "altitude", "z")), ("e", "n", "z"))
# Three names that differ in these letters only are coordinates if one of the words below is all that is left of them.
LETTERS = (AXES, ("0", "1", "2"), ("1", "2", "3"))
POINT_WORDS = ("point", "points", "pos", "position", "positions", "coord", "coords", "coordinate", "coordinates", "xyz")
LETTER_WORDS = ("", "p", *POINT_WORDS, "vertex", "loc", "location", "m", "mm", "cm", "km", "ft", "in", "lidar", "utm")
UNIT = re.compile(r"[ \t]*[\[(][^\])]*[\])]")  # "X [m]", "y(mm)"
QUOTES = "\"'/#[](){}: "
ANGLES = frozenset(("lat", "latitude", "lon", "lng", "long", "longitude", "theta", "phi", "azimuth"))
# Names of other columns. A line that holds one of them is no title.
OTHERS = frozenset(
    (
        *("nx", "ny", "nz", "r", "g", "b", "red", "green", "blue", "i", "intensity", "reflectance", "ring", "scalar"),
        *("id", "index", "label", "class", "classification", "time", "timestamp", "gps_time", "curvature", "density"),
        *("confidence", "temp", "temperature", "east", "north", "easting", "northing", "elevation"),
    )
)


def find_axes(names: Sequence[str]) -> list[int] | None:
    """Find the columns named x, y and z, such as ``X [m]``, ``pos_x``, ``//X`` or ``Points:0``; None without them.

    Raises
    ------
    ObjectError
        When two columns have the same name.

    Examples
    --------
    >>> from data_prep.readers.clouds.column_names import find_axes
    >>> find_axes(["Normals:0", "Points:0", "Points:1", "Points:2"]), find_axes(["nx", "ny", "nz"])
    ([1, 2, 3], None)
    """
    plain = [UNIT.sub("", name).strip(QUOTES).lower() for name in names]
    triples = [wanted for wanted in WHOLE_NAMES if set(wanted) <= set(plain)][:1] or _find_triples(plain)
    if len(triples) != 1:
        return None
    if any(plain.count(name) > 1 for name in triples[0]):
        raise ObjectError(f"two columns of one name among {' '.join(names)[:80]}: name each column differently")
    return [plain.index(name) for name in triples[0]]


def _find_triples(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Find the names that differ in x, y and z or in three digits only, and are otherwise words for a position."""
    triples: dict[tuple[str, ...], None] = {}
    for letters in LETTERS:
        words = LETTER_WORDS if letters == AXES else POINT_WORDS
        for name in names:
            for match in re.finditer(letters[0], name):
                before, after = name[: match.start()], name[match.end() :]
                triple = tuple(before + letter + after for letter in letters)
                if re.sub("[^a-z]", "", before + after) in words and set(triple) <= set(names):
                    triples[triple] = None
    return list(triples)


def refuse_names(names: Sequence[str], columns: int) -> None:
    """Refuse a table whose names of columns say that the first three are no coordinates.

    Parameters
    ----------
    names : sequence of str
        The words of the line before the numbers, without x, y and z among them.
    columns : int
        Number of columns of the table. A line of another number of words is a title.

    Raises
    ------
    ObjectError
        When the words are names of columns.
    """
    plain = {UNIT.sub("", name).strip(QUOTES).lower() for name in names}
    if len(names) != columns or not all(name.strip(QUOTES)[:1].isalpha() for name in names):
        return
    if plain & ANGLES:
        raise ObjectError(f"columns {' '.join(names)[:80]}: angles, not coordinates. Save x y z")
    if plain & OTHERS:
        raise ObjectError(f"columns {' '.join(names)[:80]}: none are x, y and z. Name the columns x y z")
