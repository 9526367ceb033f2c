"""Choice of the files of a folder that are objects, and the reasons why others that look like objects are not."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from data_prep.readers.images.opening import IMAGE_SUFFIXES
from data_prep.readers.shape import SHAPE_SUFFIXES
from spectral_ssl.ground.errors import UserError

TEXTURED = (".obj", ".glb", ".gltf")
# Formats of shapes and images that cannot be read. Such files are meant as objects, so they are
# reported as failures.
_UNREADABLE_SHAPES = (
    *(".3dm", ".3ds", ".3mf", ".blend", ".bgeo", ".c4d", ".ctm", ".dae", ".drc", ".dwg", ".dxf", ".e57"),
    *(".fbx", ".ifc", ".iges", ".igs", ".ipt", ".jt", ".ksplat", ".ma", ".mb", ".ptx", ".ptz", ".sat", ".skp"),
    *(".sldasm", ".spz", ".vtu", ".x_b", ".x_t"),
    *(".max", ".msh", ".sldprt", ".splat", ".usd", ".usda", ".usdc", ".usdz", ".vrml", ".vtk", ".vtp", ".wrl", ".x3d"),
)
OTHER_IMAGES = (
    *(".arw", ".cr2", ".dcm", ".dds", ".dng", ".exr", ".hdr", ".heic", ".heif", ".ico", ".jxl", ".nef", ".psd"),
    *(".qoi", ".svg"),
)
# A format may have become readable.
OTHER_SHAPES = tuple(suffix for suffix in _UNREADABLE_SHAPES if suffix not in SHAPE_SUFFIXES)
MATERIALS = (".mtl", ".bin")  # and buffers of .gltf
WITH_MESHES = (*MATERIALS, *IMAGE_SUFFIXES, *OTHER_IMAGES)
TEXTURE_FOLDERS = ("material", "materials", "texture", "textures")  # next to the folder of the meshes
NOT_READ = "files are not read: convert it"
PACKED = (".gz", ".bz2", ".xz", ".zst")
ENDINGS_SHOWN = 5


def choose_files(
    root: Path, files: Sequence[Path], kind: Literal["shapes", "images"] | None = None
) -> tuple[Literal["shapes", "images"], list[Path]]:
    """Decide whether a folder holds shapes or images, and choose the files of that kind.

    Parameters
    ----------
    root : Path
        The folder, for messages.
    files : sequence of Path
        All files below it.
    kind : {"shapes", "images"}, optional
        The kind that is wanted; files of the other kind do not count then.

    Raises
    ------
    UserError
        When there are files of both kinds, of no kind, or none of the wanted kind.
    """
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    shapes = [path for path in files if path.suffix.lower() in SHAPE_SUFFIXES]
    if images and all(path.suffix.lower() == ".txt" for path in shapes):
        shapes = []  # These files hold names of classes, or labels.
    unreadable = [path for path in files if path.suffix.lower() in OTHER_SHAPES]
    if kind is not None:
        wanted = shapes if kind == "shapes" else images
        if not wanted:
            content = f"{root} (with {count_suffixes(files)})" if files else str(root)
            suffixes = " ".join(SHAPE_SUFFIXES if kind == "shapes" else IMAGE_SUFFIXES)
            raise UserError(f"no {kind} in this folder", content, f"known endings are {suffixes}")
        return kind, wanted
    if images and unreadable and not shapes:
        raise UserError(
            "images next to shapes in formats that cannot be read",
            f"{count_suffixes(unreadable)} and {count_suffixes(images)} in {root}",
            "convert the shapes, to .obj or .glb for example, or move the images to another folder",
        )
    if shapes and images and not has_textures(shapes):
        raise UserError(
            "shapes and images in one folder",
            f"{len(shapes)} and {len(images)} files in {root}",
            "use a folder for each kind",
        )
    if not shapes and not images:
        suffixes = " ".join((*SHAPE_SUFFIXES, *IMAGE_SUFFIXES))
        content = f"{root} (with {count_suffixes(files)})" if files else str(root)
        raise UserError("no shapes or images in this folder", content, f"known endings are {suffixes}")
    return ("shapes", shapes) if shapes else ("images", images)


def has_textures(shapes: Sequence[Path]) -> bool:
    """Return whether images next to these shapes can be their textures."""
    return any(path.suffix.lower() in TEXTURED for path in shapes)


def find_textures(files: Sequence[Path], root: Path, shapes: Sequence[Path]) -> list[Path]:
    """Find the files that belong to meshes: materials, buffers, and images next to or below a mesh with textures.

    Parameters
    ----------
    files : sequence of Path
        Files with suffixes of ``WITH_MESHES``.
    root : Path
        The folder of the whole set, which holds all paths.
    shapes : sequence of Path
        The shapes of the set; those of formats without textures do not count.

    Returns
    -------
    list of Path
        All but images in folders that have nothing to do with the meshes. Images in a folder named
        ``textures`` belong to them wherever it is.
    """
    holders = {shape.parent for shape in shapes if shape.suffix.lower() in (*TEXTURED, *OTHER_SHAPES)}
    return [
        path
        for path in files
        if path.suffix.lower() in MATERIALS
        or not holders.isdisjoint(path.parents)
        or any(name.lower() in TEXTURE_FOLDERS for name in path.relative_to(root).parts[:-1])
    ]


def check_files(
    files: Sequence[Path], chosen: set[Path], other_formats: Sequence[str]
) -> tuple[dict[Path, int], dict[Path, str]]:
    """Return the sizes of the usable chosen files, and for every file the reason of its failure or ""."""
    sizes: dict[Path, int] = {}
    reasons: dict[Path, str] = {}
    for path in files:
        try:
            reasons[path] = _find_failure(path, path in chosen, other_formats)
            if path in chosen and not reasons[path]:
                sizes[path] = path.stat().st_size
        except OSError as error:  # The user may not read it, or it has just disappeared.
            reasons[path] = f"cannot be read: {error.strerror or error}"
    return sizes, reasons


def count_suffixes(paths: Sequence[Path]) -> str:
    """Count the files of each suffix, the most frequent first."""
    counts = Counter(path.suffix.lower() or "without ending" for path in paths).most_common()
    shown = [f"{count} {ending}" for ending, count in counts[:ENDINGS_SHOWN]]
    rest = sum(count for _, count in counts[ENDINGS_SHOWN:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def _find_failure(path: Path, chosen: bool, other_formats: Sequence[str]) -> str:
    """Return why a file that is meant as an object cannot be one; "" for objects and for other files."""
    ending = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    if path.is_symlink() and not path.exists():
        return "a broken link"
    if chosen:
        return "" if path.is_file() else "not a regular file: a pipe, socket or device"
    if ending in other_formats:
        return f"{ending} {NOT_READ}"
    if ending in PACKED and inner in (*SHAPE_SUFFIXES, *IMAGE_SUFFIXES, *other_formats):
        return f"compressed: unpack {inner}{ending} files first"
    return ""
