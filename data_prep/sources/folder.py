"""Anyone's own files: a folder of meshes, clouds or images, with or without classes and splits."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath

from data_prep.image_reading import IMAGE_SUFFIXES, read_image
from data_prep.mesh_reading import SHAPE_SUFFIXES, read_shape
from data_prep.sources.item import Item, Source, Split
from spectral_ssl.ground.errors import UserError

WHERE = "give a folder with meshes, clouds or images: --dataset folder:PATH"
HELP = """folder:PATH: your own meshes, clouds or images.

Meshes: .off .obj .ply .stl .glb .gltf; clouds: .xyz .pts .txt .npy .npz (three columns or more); voxel grids: .npy .npz
(three dimensions) .binvox; images: .png .jpg .bmp .gif .tif .webp, of one size (--size makes them so). Endings may be
in capitals. A folder holds shapes or images, not both (images beside .obj, .glb and .gltf
files count as textures and are left out).
Layouts:
  *                                     no classes
  CLASS/**/*                            sub-folders are classes, labelled in the order of their names
  {train,val,test}/CLASS/*              the split above the classes
  CLASS/{train,val,test}/*              or below them
Everything is "train" where there is no split. +z is taken as up unless --up says otherwise.
Links to folders are followed where they lead out of this folder; those into it would give the same objects twice.
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
    files, links = _files(root)
    shapes = [path for path in files if path.suffix.lower() in SHAPE_SUFFIXES]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
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
        found = f"{root} (with {_endings(files)})" if files else str(root)
        raise UserError("no shapes or images in this folder", found, f"known endings are {endings}")
    used = set(chosen)
    reasons = {path: _why_missing(path, path in used, OTHER_SHAPES if shapes else OTHER_IMAGES) for path in files}
    left = [path for path in files if path not in used and not reasons[path]]
    chosen = [path for path in chosen if not reasons[path]]
    missing = tuple((path.relative_to(root).as_posix(), reason) for path, reason in reasons.items() if reason)
    places = [_place(path.relative_to(root)) for path in chosen]
    classes = tuple(sorted({class_name for _, class_name in places if class_name is not None}))
    digest = sha256()
    items = []
    for path, (split, class_name) in zip(chosen, places, strict=True):
        identity = path.relative_to(root).as_posix()
        digest.update(f"{identity} {path.stat().st_size}\n".encode())
        items.append(
            Item(
                identity,
                -1 if class_name is None else classes.index(class_name),
                split,
                partial(read_shape if shapes else read_image, path),
            )
        )
    kind = "shapes" if shapes else "images"
    return Source(
        name=f"folder:{root.resolve().name}",
        kind=kind,  # type: ignore[arg-type]
        classes=classes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=missing,
        note=_note(kind, items, classes, left, links, textured),
    )


def _note(
    kind: str, items: Sequence[Item], classes: Sequence[str], left: Sequence[Path], links: int, textured: bool
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
    if links:
        parts.append(f"{links} links to folders not followed, they lead to files that are here already")
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


def _files(root: Path) -> tuple[list[Path], int]:
    """All files below a folder in the order of their names, and the number of links to folders not followed.

    Without hidden files and those that come with archives. A link to a folder is followed unless that folder holds, or
    lies in, one that is looked through anyway: an endless walk, or the same object under two names and in two splits.
    """
    files: list[Path] = []
    links: list[Path] = []
    _walk(root, files, links)
    seen = [root.resolve()]
    not_followed = 0
    while links:
        link = links.pop(0)
        target = link.resolve()
        if any(target.is_relative_to(place) or place.is_relative_to(target) for place in seen):
            not_followed += 1
            continue
        seen.append(target)
        _walk(link, files, links)
    return sorted(files, key=lambda path: path.relative_to(root).parts), not_followed


def _walk(folder: Path, files: list[Path], links: list[Path]) -> None:
    """Add the files below a folder, and the links to folders, to the lists."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError("a folder that cannot be read", f"{folder} ({error.strerror})", "see to its rights") from error
    for path in entries:
        if path.name.startswith(".") or path.name.lower() in SKIPPED:
            continue
        if path.is_dir() and path.is_symlink():
            links.append(path)
        elif path.is_dir():
            _walk(path, files, links)
        else:
            files.append(path)


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
