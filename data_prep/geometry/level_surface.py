"""Extraction of the surface on which sampled values reach a level, by marching cubes.

Source: Lewiner, Lopes, Vieira and Tavares, "Efficient implementation of marching cubes' cases with
topological guarantees" (Journal of Graphics Tools, 2003), as scikit-image has it. It resolves the
ambiguous cases of marching cubes (Lorensen and Cline, 1987), so that the result is closed.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

JUST_ABOVE = 1e-9  # smallest distance from the level, as a share of the largest one; values on the level are above it


def extract_level_surface(
    values: NDArray[np.floating], level: float, spacing: float = 1.0, origin: float = 0.0
) -> Shape:
    """Extract the closed surface between grid points with values of at least ``level`` and those with less.

    Parameters
    ----------
    values : (I, J, K) array of a floating dtype
        Samples at ``origin + spacing * (i, j, k)``.
    level : float
        Value on the surface. Values beyond the border of the grid count as lower.
    spacing, origin : float
        Distance of grid points and position of the first, the same along all axes.

    Returns
    -------
    Shape
        A watertight mesh. Triangles are counter-clockwise as seen from the side of lower values.

    Raises
    ------
    UserError
        When the values are not a finite 3D array.
    ObjectError
        When no value reaches the level.

    Notes
    -----
    Vertices are interpolated linearly along edges. This is exact for linear functions, up to the
    rounding of float32. For others the error is at most spacing^2 |f''| / (2 |f'|).
    """
    from skimage.measure import marching_cubes  # 0.5 s at import

    if values.ndim != 3 or not np.isfinite(values).all():
        raise UserError("values of a level surface", values.shape, "give a finite 3D array")
    above = values.astype(np.float64) - level
    if not (above >= 0).any():
        raise ObjectError(f"no value reaches the level {level:.3g}")
    scale = max(float(np.abs(above).max()), 1e-300)
    # Values very near the level stay on their side of it in float32.
    above = np.where(above >= 0, np.maximum(above / scale, JUST_ABOVE), np.minimum(above / scale, -JUST_ABOVE))
    # A border below the level closes the surface. It is only just below, so that the surface stays
    # close to the outermost grid points.
    field = np.pad(above, 1, constant_values=min(float(above.min()), 0.0) - 1e-3)
    points, faces, _, _ = marching_cubes(field.astype(np.float32), 0.0, gradient_direction="ascent")
    return Shape((points.astype(np.float64) - 1) * spacing + origin, faces.astype(np.int64))
