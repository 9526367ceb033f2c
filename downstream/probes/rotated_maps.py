"""Rotate the objects of a map file at random, to probe features in other poses than those of the data set.

The coefficients are rotated (``data_prep.transforms.rotation``), which equals a rotation of the
points before the transform. So no points are needed.
"""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from data_prep.transforms.rotation import rotate, rotate_about_vertical
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.progress import progress

Pose = Literal["aligned", "vertical", "so3"]
POSES: tuple[Pose, ...] = get_args(Pose)


@dataclass(frozen=True, eq=False, kw_only=True)
class RotatedMaps(MapFile):
    """A map file with rotated maps, which are held in memory.

    Attributes
    ----------
    rotated : ndarray, shape (N, K, L+1, L+1), float32
        Rotated maps.
    """

    rotated: NDArray[np.float32] = field(repr=False)

    def read(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the rotated maps of some rows (by default of all), (B, K, L+1, L+1), float32."""
        return self.rotated if rows is None else self.rotated[rows]


def rotate_maps(maps: MapFile, pose: Pose, seed: int = 0) -> MapFile:
    """Rotate all objects of a map file, in the training split and in the test split.

    Parameters
    ----------
    maps : MapFile
        Spectral maps.
    pose : {"aligned", "vertical", "so3"}
        "aligned": no rotation. "vertical": each object is rotated about the vertical by a random
        angle, uniform in [0, 2 pi). "so3": each object gets a random rotation, uniform over SO(3).
    seed : int
        Seed of the rotations. The rotation of an object depends only on the seed and its row.

    Returns
    -------
    MapFile
        The same object for "aligned". Otherwise a file without points, whose digest contains the
        pose.

    Raises
    ------
    UserError
        If the pose is unknown, or the file holds images.
    """
    if pose not in POSES:
        raise unknown_name("pose", pose, POSES)
    if pose == "aligned":
        return maps
    if maps.basis.kind == "pixels":
        raise UserError("images cannot be rotated in space", str(maps.path), "leave --pose out")
    generator = np.random.default_rng(seed)
    if pose == "vertical":
        rotated = rotate_about_vertical(maps.read(), maps.basis, generator.uniform(0, 2 * np.pi, len(maps)))
    else:
        rotated = np.array(maps.read())
        with progress("rotating", len(maps)) as advance:
            for row, matrix in enumerate(draw_rotations(len(maps), generator)):
                rotated[row] = rotate(rotated[row], maps.basis, matrix)
                advance()
    attributes = {attribute.name: getattr(maps, attribute.name) for attribute in fields(MapFile)}
    attributes |= {"digest": f"{maps.digest} {pose} {seed}", "has_points": False}
    return RotatedMaps(**attributes, rotated=rotated)


def draw_rotations(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw rotation matrices (count, 3, 3), uniform over SO(3).

    They are made from quaternions uniform on the sphere (K. Shoemake, *Uniform random rotations*,
    1992).
    """
    from scipy.spatial.transform import Rotation

    matrices: NDArray[np.float64] = Rotation.from_quat(generator.normal(size=(count, 4))).as_matrix()
    return matrices
