"""Reader of CAD models (.step, .stp) by cascadio, an optional library with the OpenCASCADE kernel.

The kernel ends its process for some damaged files: 3 of 25 mutated files did. So it runs in a
process of its own, which takes 1 to 2 seconds a file.
"""

from importlib.util import find_spec
from pathlib import Path

from data_prep.readers.child import convert_in_child
from data_prep.readers.meshes.gltf.scene import parse_gltf
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

# Largest distance of a curved face from its triangles, relative to the length of its edges, and
# their largest angle in radians.
TOLERANCE, ANGLE = 0.01, 0.3
INSTALL = "pip install 'spectral-ssl[cad]'"
PROGRAM = f"""
import cascadio
with open(source, "rb") as stream:
    data = stream.read()
scene = cascadio.load(
    data, "step", tol_linear={TOLERANCE}, tol_angular={ANGLE}, tol_relative=True, use_parallel=False
)
with open(target, "wb") as stream:
    stream.write(scene)
"""


def parse_step(data: bytes, path: Path) -> Shape:
    """Parse a .step or .stp file: triangles of all its solids and surfaces.

    Parameters
    ----------
    data : bytes
        Content of the whole file.
    path : Path
        Path of the file, which is not opened.

    Returns
    -------
    Shape
        A mesh in metres, in the axes of the file.

    Raises
    ------
    ObjectError
        When the file is damaged, holds no surface, takes too long, or cascadio is not installed.
    """
    if find_spec("cascadio") is None:
        raise ObjectError(f"{path.suffix} files need cascadio: {INSTALL}")
    scene = convert_in_child(PROGRAM, data, path.suffix.lower())
    if not scene:
        raise ObjectError("no solids or surfaces")
    try:
        return parse_gltf(scene, path.parent)
    except ObjectError as error:
        raise ObjectError(f"no solids or surfaces in a {path.suffix} file ({error})") from error
