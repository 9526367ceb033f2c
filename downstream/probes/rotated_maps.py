"""Maps of the objects of a file, each turned at random: how features stand other poses than the data set's own.

The coefficients themselves are turned (``data_prep.transforms.rotation``), which equals turning the points before the transform,
so every file of spectral maps has all poses, whether or not it keeps its points.
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
    """A map file whose maps are turned; they are held in memory.

    Attributes
    ----------
    turned : ndarray, shape (N, K, L+1, L+1), float32
    """

    turned: NDArray[np.float32] = field(repr=False)

    def read(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Turned maps of the given rows (all of them by default), (B, K, L+1, L+1) float32."""
        return self.turned if rows is None else self.turned[rows]


def rotate_maps(maps: MapFile, pose: Pose, seed: int = 0) -> MapFile:
    """The same objects in other poses, those of the training split and of the test split alike.

    Parameters
    ----------
    maps : MapFile
        Spectral maps.
    pose : {"aligned", "vertical", "so3"}
        As they are; each object turned about the vertical by its own angle, uniform in [0, 2 pi); each turned by its
        own rotation, uniform over SO(3).
    seed : int
        Draws the rotations; an object's rotation depends on the seed and its row alone.

    Returns
    -------
    MapFile
        The very same for "aligned". Else its digest names the pose, and it has no points.

    Raises
    ------
    UserError
        When there is no such pose, or the file holds images.
    """
    if pose not in POSES:
        raise unknown_name("pose", pose, POSES)
    if pose == "aligned":
        return maps
    if maps.basis.kind == "pixels":
        raise UserError("images cannot be turned in space", str(maps.path), "leave --pose out")
    generator = np.random.default_rng(seed)
    if pose == "vertical":
        turned = rotate_about_vertical(maps.read(), maps.basis, generator.uniform(0, 2 * np.pi, len(maps)))
    else:
        turned = np.array(maps.read())
        with progress("turning", len(maps)) as advance:
            for row, matrix in enumerate(draw_rotations(len(maps), generator)):
                turned[row] = rotate(turned[row], maps.basis, matrix)
                advance()
    own = {each.name: getattr(maps, each.name) for each in fields(MapFile)}
    own |= {"digest": f"{maps.digest} {pose} {seed}", "has_points": False}
    return RotatedMaps(**own, turned=turned)


def draw_rotations(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Rotation matrices (count, 3, 3), uniform over SO(3): from quaternions uniform on the sphere (Shoemake 1992)."""
    from scipy.spatial.transform import Rotation

    matrices: NDArray[np.float64] = Rotation.from_quat(generator.normal(size=(count, 4))).as_matrix()
    return matrices
