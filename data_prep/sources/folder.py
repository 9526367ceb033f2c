"""Anyone's own files: a folder of meshes, clouds or images, with or without classes and splits."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from data_prep.readers.image import IMAGE_SUFFIXES, read_image
from data_prep.readers.mesh import SHAPE_SUFFIXES, read_shape
from data_prep.source import Item, Source, Split
from spectral_ssl.ground.errors import UserError

WHERE = "give a folder with meshes, clouds or images: --dataset folder:PATH"
HELP = """folder:PATH: your own meshes, clouds or images.

Meshes: .off .obj .ply .stl .glb .gltf; clouds: .xyz .pts .txt .npy .npz (three columns or more); voxel grids: .npy .npz
(three dimensions) .binvox; images: .png .jpg .bmp .gif .tif .webp, of one size (--size makes them so). Endings may be
in capitals. A folder holds shapes or images, not both. Images beside .obj, .glb and .gltf files count as textures and
are left out; .txt files beside images count as lists (names of classes) and are left out; images beside shapes of
which no format is read (.fbx, .step, ...) are refused.
Layouts:
  *                                     no classes
  CLASS/**/*                            sub-folders are classes, labelled in the order of their names
  {train,val,test}/CLASS/*              the split above the classes
  CLASS/{train,val,test}/*              or below them
Everything is "train" where there is no split. +z is taken as up unless --up says otherwise.
Links to folders are followed, each real folder is read once: a second time would give the same objects twice. A link to
a folder that holds this one appears among the failures.
Shapes or images in a format that is not read (.step, .fbx, .pcd, ..., .heic, .svg, ...), links that lead nowhere and
lists (.txt files that hold words) appear among the failures; other files are counted in the line that prep prints.
README files and hidden files are skipped.
"""
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
SKIPPED = ("readme.txt", "license.txt", "licence.txt", "__macosx")
TEXTURED = (".obj", ".glb", ".gltf")
# What people keep shapes and images in and is not read here: surely meant as objects.
OTHER_SHAPES = (
    *(".3ds", ".3mf", ".blend", ".bgeo", ".ctm", ".dae", ".drc", ".dxf", ".e57", ".fbx", ".ifc", ".iges", ".igs"),
    *(".las", ".laz", ".max", ".msh", ".pcd", ".sldprt", ".step", ".stp", ".usd", ".usda", ".usdc", ".usdz", ".vrml"),
    *(".vtk", ".vtp", ".wrl", ".x3d"),
)
OTHER_IMAGES = (".avif", ".exr", ".hdr", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".psd", ".svg", ".tga")
WITH_MESHES = (".mtl", ".bin", *IMAGE_SUFFIXES, *OTHER_IMAGES)  # materials, buffers of .gltf, textures
PACKED = (".gz", ".bz2", ".xz", ".zst")
ENDINGS_SHOWN = 5


def open_source(root: Path) -> Source:
    """The files under ``root``.

    Raises
    ------
    UserError
        When there is none that can be read, or there are shapes and images.
    """
    found = _Tree()
    found.read(root)
    files = sorted(found.files, key=lambda path: path.relative_to(root).parts)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    shapes = [path for path in files if path.suffix.lower() in SHAPE_SUFFIXES]
    if images and all(path.suffix.lower() == ".txt" for path in shapes):
        shapes = []  # names of classes, labels
    unread = [path for path in files if path.suffix.lower() in OTHER_SHAPES]
    if images and unread and not shapes:
        raise UserError(
            "shapes in formats that are not read, beside images",
            f"{_endings(unread)} and {_endings(images)} in {root}",
            "convert the shapes, to .obj or .glb for example, or give the images a folder of their own",
        )
    textured = any(path.suffix.lower() in TEXTURED for path in shapes)
    if shapes and images and not textured:
        raise UserError(
            "shapes and images in one folder",
            f"{len(shapes)} and {len(images)} files in {root}",
            "give each its own folder",
        )
    chosen = shapes or images
    if not chosen:
        endings = " ".join((*SHAPE_SUFFIXES, *IMAGE_SUFFIXES))
        there = f"{root} (with {_endings(files)})" if files else str(root)
        raise UserError("no shapes or images in this folder", there, f"known endings are {endings}")
    used = set(chosen)
    reasons: dict[Path, str] = {}
    sizes: dict[Path, int] = {}
    for path in files:
        try:
            reasons[path] = _why_missing(path, path in used, OTHER_SHAPES if shapes else OTHER_IMAGES)
            if path in used and not reasons[path]:
                sizes[path] = path.stat().st_size
        except OSError as error:  # no right to look, or it went away a moment ago
            reasons[path] = f"cannot be read: {error.strerror or error}"
    left = [path for path in files if path not in used and not reasons[path]]
    chosen = list(sizes)
    reasons.update(found.unread)
    missing = tuple((path.relative_to(root).as_posix(), reason) for path, reason in sorted(reasons.items()) if reason)
    places = [_place(path.relative_to(root)) for path in chosen]
    classes = tuple(sorted({class_name for _, class_name in places if class_name is not None}))
    digest = sha256()
    items = []
    for path, (split, class_name) in zip(chosen, places, strict=True):
        identity = path.relative_to(root).as_posix()
        digest.update(f"{identity} {sizes[path]}\n".encode(errors="replace"))
        items.append(
            Item(
                identity,
                -1 if class_name is None else classes.index(class_name),
                split,
                partial(read_shape if shapes else read_image, path),
            )
        )
    kind: Literal["shapes", "images"] = "shapes" if shapes else "images"
    return Source(
        name=f"folder:{root.resolve().name}",
        kind=kind,
        classes=classes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=missing,
        note=_note(kind, items, classes, left, found.again, textured),
    )


def _note(
    kind: str, items: Sequence[Item], classes: Sequence[str], left: Sequence[Path], again: int, textured: bool
) -> str:
    """What was found and what was left out, in one line."""
    parts = [f"{len(items)} {kind} in {len(classes)} classes" if classes else f"{len(items)} {kind} without classes"]
    loose = sum(item.label < 0 for item in items)
    if classes and loose:
        parts.append(f"{loose} of them in no class folder, without a label")
    textures = [path for path in left if textured and path.suffix.lower() in WITH_MESHES]
    if textures:
        parts.append(f"left out as textures and materials: {_endings(textures)}")
    others = sorted(set(left) - set(textures))
    if others:
        parts.append(f"not read: {_endings(others)}")
    if again:
        parts.append(f"{again} folders behind links not read again, their files are here already")
    return "; ".join(parts)


def _endings(paths: Sequence[Path]) -> str:
    """How many files there are of each ending, the most frequent first."""
    counts = Counter(path.suffix.lower() or "without ending" for path in paths).most_common()
    shown = [f"{count} {ending}" for ending, count in counts[:ENDINGS_SHOWN]]
    rest = sum(count for _, count in counts[ENDINGS_SHOWN:])
    return ", ".join([*shown, f"{rest} others"] if rest else shown)


def _why_missing(path: Path, chosen: bool, other_formats: Sequence[str]) -> str:
    """Why a file that is surely meant as an object is none; nothing for objects and for other files."""
    ending = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    if chosen:
        return "" if path.is_file() else "no file: a pipe, socket or device"
    if ending in other_formats:
        return f"{ending} files are not read: convert it"
    if ending in PACKED and inner in (*SHAPE_SUFFIXES, *IMAGE_SUFFIXES, *other_formats):
        return f"packed: unpack {inner}{ending} files first"
    return ""


class _Tree:
    """The files below a folder, without hidden ones and those that come with archives.

    Attributes
    ----------
    files : list of Path
        In no order.
    unread : dict
        Folders and files that were not looked at, with the reason.
    again : int
        Number of folders behind links that were left out because they had been read already: an endless walk, or the
        same object under two names and in two splits.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.unread: dict[Path, str] = {}
        self.again = 0
        self._read: set[Path] = set()  # the real folders
        self._links: list[Path] = []

    def read(self, root: Path) -> None:
        """Read a folder, and then what its links lead to."""
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
            self.again += 1
            return
        self._read.add(real)
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise UserError(
                "a folder that cannot be read", f"{folder} ({error.strerror})", "see to its rights"
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


def _place(path: Path) -> tuple[Split, str | None]:
    """Split and class that the folders of a relative path say."""
    folders = list(PurePosixPath(path.as_posix()).parts[:-1])
    split: Split = "train"
    for position, name in enumerate(folders[:2]):
        if name.lower() in SPLITS:
            split = SPLITS[name.lower()]
            del folders[position]
            break
    return split, folders[0] if folders else None
