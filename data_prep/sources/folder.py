"""A folder of the user's files: meshes, clouds or images, with or without classes and splits."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from data_prep.readers.image import IMAGE_SUFFIXES, read_image
from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.source import Item, Source, Split
from spectral_ssl.ground.errors import UserError

WHERE = "give a folder with meshes, clouds or images: --dataset folder:PATH"
HELP = """folder:PATH: your own meshes, clouds or images.

Meshes: .off .obj .ply .stl .glb .gltf; clouds: .xyz .pts .txt .npy .npz (three columns or more); voxel grids: .npy .npz
(three dimensions) .binvox; images: .png .jpg .bmp .gif .tif .webp, all of one size (or give --size). Suffixes may be
in capitals. A folder holds shapes or images, not both. Images next to .obj, .glb and .gltf files count as textures and
are skipped. .txt files next to images count as lists (names of classes) and are skipped. Images next to shapes in
formats that cannot be read (.fbx, .step, ...) are an error.
Layouts:
  *                                     no classes
  CLASS/**/*                            sub-folders are classes, labelled in the order of their names
  {train,val,test}/CLASS/*              the split above the classes
  CLASS/{train,val,test}/*              or below them
Everything is "train" if there is no split. +z is up unless --up gives another axis.
Links to folders are followed. Each real folder is read once, so that no object occurs twice. A link to a folder that
holds this one appears among the failures.
Shapes or images in a format that cannot be read (.step, .fbx, .pcd, ..., .heic, .svg, ...), broken links and lists
(.txt files that hold words) appear among the failures. Other files are counted in the line that prep prints.
README files and hidden files are skipped.
"""
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
SKIPPED = ("readme.txt", "license.txt", "licence.txt", "__macosx")
TEXTURED = (".obj", ".glb", ".gltf")
# Formats of shapes and images that cannot be read. Such files are meant as objects, so they are
# reported as failures.
OTHER_SHAPES = (
    *(".3ds", ".3mf", ".blend", ".bgeo", ".ctm", ".dae", ".drc", ".dxf", ".e57", ".fbx", ".ifc", ".iges", ".igs"),
    *(".las", ".laz", ".max", ".msh", ".pcd", ".sldprt", ".step", ".stp", ".usd", ".usda", ".usdc", ".usdz", ".vrml"),
    *(".vtk", ".vtp", ".wrl", ".x3d"),
)
OTHER_IMAGES = (".avif", ".exr", ".hdr", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".psd", ".svg", ".tga")
WITH_MESHES = (".mtl", ".bin", *IMAGE_SUFFIXES, *OTHER_IMAGES)  # Materials, buffers of .gltf, textures.
PACKED = (".gz", ".bz2", ".xz", ".zst")
ENDINGS_SHOWN = 5


def open_source(root: Path) -> Source:
    """List the shapes or images under ``root``.

    Raises
    ------
    UserError
        When no file can be read, or there are both shapes and images.
    """
    tree = _Tree()
    tree.read(root)
    files = sorted(tree.files, key=lambda path: path.relative_to(root).parts)
    kind, candidates = _choose_files(root, files)
    chosen = set(candidates)
    sizes, reasons = _check_files(files, chosen, OTHER_SHAPES if kind == "shapes" else OTHER_IMAGES)
    skipped = [path for path in files if path not in chosen and not reasons[path]]
    reasons.update(tree.unread)
    groups = [_split_and_class(path.relative_to(root)) for path in sizes]
    classes = tuple(sorted({class_name for _, class_name in groups if class_name is not None}))
    digest = sha256()
    items = []
    for (path, size), (split, class_name) in zip(sizes.items(), groups, strict=True):
        identity = path.relative_to(root).as_posix()
        digest.update(f"{identity} {size}\n".encode(errors="replace"))
        label = -1 if class_name is None else classes.index(class_name)
        items.append(Item(identity, label, split, partial(read_shape if kind == "shapes" else read_image, path)))
    textured = kind == "shapes" and _has_textures(candidates)
    return Source(
        name=f"folder:{root.resolve().name}",
        kind=kind,
        classes=classes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=tuple(
            (path.relative_to(root).as_posix(), reason) for path, reason in sorted(reasons.items()) if reason
        ),
        note=_describe(kind, items, classes, skipped, tree.repeated, textured),
    )


def _choose_files(root: Path, files: Sequence[Path]) -> tuple[Literal["shapes", "images"], list[Path]]:
    """Decide whether a folder holds shapes or images, and choose the files of that kind.

    Raises
    ------
    UserError
        When there are files of both kinds or of no kind.
    """
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    shapes = [path for path in files if path.suffix.lower() in SHAPE_SUFFIXES]
    if images and all(path.suffix.lower() == ".txt" for path in shapes):
        shapes = []  # These files hold names of classes, or labels.
    unreadable = [path for path in files if path.suffix.lower() in OTHER_SHAPES]
    if images and unreadable and not shapes:
        raise UserError(
            "images next to shapes in formats that cannot be read",
            f"{_count_suffixes(unreadable)} and {_count_suffixes(images)} in {root}",
            "convert the shapes, to .obj or .glb for example, or move the images to another folder",
        )
    if shapes and images and not _has_textures(shapes):
        raise UserError(
            "shapes and images in one folder",
            f"{len(shapes)} and {len(images)} files in {root}",
            "use a folder for each kind",
        )
    if not shapes and not images:
        suffixes = " ".join((*SHAPE_SUFFIXES, *IMAGE_SUFFIXES))
        content = f"{root} (with {_count_suffixes(files)})" if files else str(root)
        raise UserError("no shapes or images in this folder", content, f"known endings are {suffixes}")
    return ("shapes", shapes) if shapes else ("images", images)


def _has_textures(shapes: Sequence[Path]) -> bool:
    """Return whether images next to these shapes can be their textures."""
    return any(path.suffix.lower() in TEXTURED for path in shapes)


def _check_files(
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


def _describe(
    kind: str, items: Sequence[Item], classes: Sequence[str], skipped: Sequence[Path], repeated: int, textured: bool
) -> str:
    """Describe the objects and the skipped files in one line."""
    parts = [f"{len(items)} {kind} in {len(classes)} classes" if classes else f"{len(items)} {kind} without classes"]
    loose = sum(item.label < 0 for item in items)
    if classes and loose:
        parts.append(f"{loose} of them in no class folder, without a label")
    textures = [path for path in skipped if textured and path.suffix.lower() in WITH_MESHES]
    if textures:
        parts.append(f"skipped as textures and materials: {_count_suffixes(textures)}")
    others = sorted(set(skipped) - set(textures))
    if others:
        parts.append(f"not read: {_count_suffixes(others)}")
    if repeated:
        parts.append(f"{repeated} folders behind links not read again, because their files are already included")
    return "; ".join(parts)


def _count_suffixes(paths: Sequence[Path]) -> str:
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
        return f"{ending} files are not read: convert it"
    if ending in PACKED and inner in (*SHAPE_SUFFIXES, *IMAGE_SUFFIXES, *other_formats):
        return f"compressed: unpack {inner}{ending} files first"
    return ""


class _Tree:
    """The files below a folder, without hidden files and the documentation of archives.

    Attributes
    ----------
    files : list of Path
        All files, in no particular order.
    unread : dict
        Folders and files that were not read, with the reason.
    repeated : int
        Number of folders behind links that were skipped because they had been read already. Reading
        them again could be endless, or give the same object two names and two splits.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.unread: dict[Path, str] = {}
        self.repeated = 0
        self._read: set[Path] = set()  # Resolved folders that have been read.
        self._links: list[Path] = []

    def read(self, root: Path) -> None:
        """Read a folder, and then the targets of its links."""
        real = root.resolve()
        self._walk(root)
        while self._links:
            link = self._links.pop(0)
            if link.resolve() not in self._read and real.is_relative_to(link.resolve()):
                self.unread[link] = "a link to a folder that holds this one: not followed"
            else:
                self._walk(link)

    def _walk(self, folder: Path) -> None:
        real = folder.resolve()
        if real in self._read:
            self.repeated += 1
            return
        self._read.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise UserError(
                "a folder that cannot be read", f"{folder} ({error.strerror})", "check its permissions"
            ) from error
        for path in entries:
            if path.name.startswith(".") or path.name.lower() in SKIPPED:
                continue
            try:
                is_folder = path.is_dir()
            except OSError as error:
                self.unread[path] = f"cannot be read: {error.strerror or error}"
                continue
            if not is_folder:
                self.files.append(path)
            elif path.is_symlink():
                self._links.append(path)
            else:
                self._walk(path)


def _split_and_class(path: Path) -> tuple[Split, str | None]:
    """Return split and class of a file, from the folders of its relative path."""
    folders = list(PurePosixPath(path.as_posix()).parts[:-1])
    split: Split = "train"
    for position, name in enumerate(folders[:2]):
        if name.lower() in SPLITS:
            split = SPLITS[name.lower()]
            del folders[position]
            break
    return split, folders[0] if folders else None
