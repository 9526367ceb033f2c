"""Choice of the three coordinates among the columns of a table: by their names, or the first three that are no index.

Tables of texts and of arrays follow the same rules. A table that is no cloud is refused: a pose, a
matrix of features, a few rows, samples of a distance function.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_prep.readers.clouds.column_names import AXES, find_axes
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

FEWEST_POINTS = 8
MOST_USUAL_COLUMNS = 6  # Positions with normals or colours.
ROWS_A_COLUMN = 3  # A table with more columns and fewer rows for each of them is a matrix.
MOST_COLUMNS = 16  # A cloud has a position, a colour, a normal and some scalars; a matrix of features has more.
SAMPLES = 1000  # Number of rows that show whether a column is a distance.
# A distance changes at most as fast as the point moves. Values of float16 are off by 1/2048.
STEEPEST = 1.01
CELLS = 5  # on a side of the grid that shows whether points fill a box
NO_TURN = 0.04  # Components of a quaternion below this are nearly zero.
POSE_ENTRIES = 12  # of a matrix of three rows and four columns


def choose_columns(table: NDArray[np.float64], names: Sequence[str] | None = None) -> Shape:
    """Choose the columns of a table that are coordinates.

    Parameters
    ----------
    table : ndarray, shape (N, M), float64
        One row for each point. Values that are not finite are allowed.
    names : sequence of str, optional
        A name for each column, if the file names them.

    Returns
    -------
    Shape
        A cloud: the columns x, y and z if they are named, otherwise the first three, or the three
        after a column that counts the rows.

    Raises
    ------
    ObjectError
        When the table is no cloud.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.clouds.columns import choose_columns
    >>> table = np.arange(40.0).reshape(10, 4)
    >>> choose_columns(table, ("id", "z", "y", "x")).points[0].tolist()
    [3.0, 2.0, 1.0]
    """
    if names is None and _has_numbered_names(table):
        add_note("a first row 0 1 2 ... that numbers the columns: left out")
        table = table[1:]
    rows, columns = table.shape
    if columns < len(AXES):
        raise ObjectError(f"not a table of points: {columns} columns, a cloud has three (x y z) or more")
    if rows < FEWEST_POINTS:
        raise ObjectError(
            f"only {rows} rows of {columns} columns: too few points for a cloud, at least {FEWEST_POINTS} are needed"
        )
    chosen = find_axes(names) if names is not None else None
    if chosen is not None:
        return Shape(np.ascontiguousarray(table[:, chosen]))
    if columns > MOST_COLUMNS:
        raise ObjectError(f"{columns} columns without names: not a table of points. Save x y z alone, (N, 3)")
    if columns > MOST_USUAL_COLUMNS and rows < ROWS_A_COLUMN * columns:
        raise ObjectError(f"only {rows} rows of {columns} columns: a matrix, or too few points for a cloud")
    _refuse_poses(table)
    first = 0
    if columns > len(AXES):
        first = int(_counts_rows(table[:, 0]))
        if first:
            add_note("the first column counts the rows: the next three columns are read as x y z")
        else:
            add_note(f"{columns} columns without names: the first three are read as x y z")
        if columns == len(AXES) + 1 and not first:
            refuse_distances(table)
    return Shape(np.ascontiguousarray(table[:, first : first + len(AXES)]))


def _has_numbered_names(table: NDArray[np.float64]) -> bool:
    """Return whether the first row is 0, 1, 2, ..., as pandas names columns, and the others are not whole numbers."""
    rows, columns = table.shape
    if rows < FEWEST_POINTS or columns < len(AXES):
        return False
    counted = np.arange(columns)
    # The column of the row numbers has no name.
    is_counted = (table[0] == counted).all() or (np.isnan(table[0, 0]) and (table[0, 1:] == counted[:-1]).all())
    with np.errstate(invalid="ignore"):
        return bool(is_counted) and not bool((table[1:] == np.floor(table[1:])).all())


def _counts_rows(column: NDArray[np.float64]) -> bool:
    """Return whether a column holds whole numbers that increase, as numbers of points do and coordinates do not."""
    with np.errstate(invalid="ignore"):
        return bool((column == np.floor(column)).all() and (np.diff(column) > 0).all())


def _refuse_poses(table: NDArray[np.float64]) -> None:
    """Refuse rows that are matrices of a rotation and a shift, such as the poses of a camera."""
    columns = table.shape[1]
    with np.errstate(all="ignore"):
        is_turn = columns in (4, 7, 8) and (np.abs((table[:, -4:] ** 2).sum(axis=1) - 1) < 1e-3).all()
        # Normals before a column of zeros have the length of a quaternion too. They point in all directions.
        normals = np.abs(table[:, -4:-1]).max(axis=0, initial=0)
        has_normals = columns > len(AXES) + 1 and np.abs(table[:, -1]).max() < NO_TURN < normals.min()
        if is_turn and not has_normals:
            raise ObjectError(f"rows of {columns} columns that are poses or rotations (quaternions), not points")
    if columns not in (POSE_ENTRIES, POSE_ENTRIES + 4):
        return
    turns = table[:, :POSE_ENTRIES].reshape(-1, 3, 4)[:, :, :3]
    with np.errstate(all="ignore"):
        if np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 1e-2:
            raise ObjectError(f"rows of {columns} columns that are poses (rotation and shift), not points")


def refuse_distances(table: NDArray[np.float64]) -> None:
    """Refuse points of the whole space with their distance to an object, or with occupancies, as DeepSDF stores them.

    The fourth column is a distance if it nowhere changes faster than the point moves, is no linear
    function of the point, and has both signs or, without signs, typical slopes of a distance.

    Parameters
    ----------
    table : ndarray, shape (N, 4), float64
        Points and one value for each.

    Raises
    ------
    ObjectError
        When the fourth column is a distance or an occupancy.
    """
    step = max(1, len(table) // SAMPLES)
    some = table[::step][np.isfinite(table[::step]).all(axis=1)]
    points, values = some[:, :3], some[:, 3]
    _refuse_occupancies(table)
    if len(some) < FEWEST_POINTS or len(np.unique(values)) < len(some) // 4:
        return
    gaps, nearest = cKDTree(points).query(points, k=2)
    apart = gaps[:, 1] > 0
    slopes = np.abs(values - values[nearest[:, 1]])[apart] / gaps[apart, 1]
    pairs = np.random.default_rng(0).permutation(len(some))
    spread = np.linalg.norm(points - points[pairs], axis=1)
    far = np.abs(values - values[pairs]) <= STEEPEST * spread + 1e-3 * np.abs(values).max()
    if not far.all() or len(slopes) == 0 or np.quantile(slopes, 0.99) > STEEPEST:
        return
    affine = np.column_stack([points, np.ones(len(points))])
    rest = values - affine @ np.linalg.lstsq(affine, values, rcond=None)[0]
    linear = math.sqrt(float((rest**2).mean())) < 1e-3 * float(np.abs(values).max())
    both_signs = values.min() < 0 < values.max()
    if not linear and (both_signs or 0.2 < float(np.median(slopes)) < 0.8):
        raise ObjectError(
            "a fourth column that is a distance: samples of a signed distance function, not an object. Save the points "
            "of its surface, (N, 3)"
        )


def _refuse_occupancies(table: NDArray[np.float64]) -> None:
    """Refuse points that fill a box, with a fourth column of zeros and ones: samples of an occupancy function."""
    good = table[np.isfinite(table).all(axis=1)]
    if len(good) < SAMPLES or set(np.unique(good[:, 3]).tolist()) != {0.0, 1.0}:
        return
    low, high = good[:, :3].min(axis=0), good[:, :3].max(axis=0)
    if not (high > low).all():
        return
    cells = np.minimum((CELLS * (good[:, :3] - low) / (high - low)).astype(np.int64), CELLS - 1)
    if len(np.unique(cells, axis=0)) > 0.9 * CELLS**3:
        raise ObjectError(
            "points of the whole space with occupancies 0 and 1: query samples, not an object. Save the points of its "
            "surface, (N, 3)"
        )
