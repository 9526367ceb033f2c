"""Names of the columns of a table: which of them are the coordinates, and names that say that the table is no cloud."""

import re
from collections.abc import Sequence

from spectral_ssl.ground.errors import ObjectError

AXES = ("x", "y", "z")
# Names that are coordinates as they stand. Heights are given in many words.
WHOLE_NAMES = (AXES, *(("easting", "northing", up) for up in ("elevation", "height", "altitude", "z")), ("e", "n", "z"))
# Three names that differ in these letters only are coordinates if one of the words below is all that is left of them.
DIGITS_FROM_0, DIGITS_FROM_1 = ("0", "1", "2"), ("1", "2", "3")
POINT_WORDS = ("point", "points", "pos", "position", "positions", "coord", "coords", "coordinate", "coordinates", "xyz")
LETTER_WORDS = (
    "",
    "p",
    *POINT_WORDS,
    "vertex",
    "loc",
    "location",
    "w",
    "world",
    "m",
    "mm",
    "cm",
    "km",
    "ft",
    "in",
    "lidar",
    "utm",
)
UNIT = re.compile(r"[ \t]{0,4}[\[(][^\])]{0,40}[\])]")  # "X [m]", "y(mm)"; the limits keep its time linear.
LONGEST_NAME = 64
QUOTES = "\"'/#[](){}: "
ANGLES = frozenset(("lat", "latitude", "lon", "lng", "long", "longitude", "theta", "phi", "azimuth"))
FEWEST_NAMES = 2  # A title can hold one of these words.
# Names of other columns.
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
    triples: Sequence[tuple[str, ...]] = [wanted for wanted in WHOLE_NAMES if set(wanted) <= set(plain)][:1]
    for letters, words in ((AXES, LETTER_WORDS), (DIGITS_FROM_0, POINT_WORDS), (DIGITS_FROM_1, POINT_WORDS)):
        triples = triples or _find_triples(plain, words, letters)
    if len(triples) != 1:
        return None
    if any(plain.count(name) > 1 for name in triples[0]):
        raise ObjectError(f"two columns of one name among {' '.join(names)[:80]}: name each column differently")
    return [plain.index(name) for name in triples[0]]


def _find_triples(
    names: Sequence[str], words: Sequence[str] | None, letters: tuple[str, str, str] = AXES
) -> list[tuple[str, ...]]:
    """Find the names that differ in three letters only, and are otherwise one of the words, or anything."""
    triples: dict[tuple[str, ...], None] = {}
    known = {name for name in names if len(name) <= LONGEST_NAME}
    for name in known:
        for match in re.finditer(letters[0], name):
            before, after = name[: match.start()], name[match.end() :]
            triple = tuple(before + letter + after for letter in letters)
            is_meant = words is None or re.sub("[^a-z]", "", before + after) in words
            if is_meant and set(triple) <= known:
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
    ordered = [UNIT.sub("", name).strip(QUOTES).lower() for name in names]
    plain = set(ordered)
    if len(names) != columns or not all(name.strip(QUOTES)[:1].isalpha() for name in names):
        return
    if len(plain & ANGLES) >= FEWEST_NAMES:
        raise ObjectError(f"columns {' '.join(names)[:80]}: angles, not coordinates. Save x y z")
    elsewhere = any(set(triple) != set(ordered[:3]) for triple in _find_triples(ordered, None))
    if elsewhere or len(plain & OTHERS) >= FEWEST_NAMES:
        raise ObjectError(f"columns {' '.join(names)[:80]}: none are x, y and z. Name the columns x y z")
