"""Anyone's own files: a folder of meshes, clouds or images, with or without classes and splits."""

from collections.abc import Iterator
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
README files, lists (.txt files that hold words) and hidden files: the first and the last are skipped, the others
appear among the failures.
"""
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "test": "test"}
SKIPPED = ("readme.txt", "license.txt", "licence.txt", "__macosx")
TEXTURED = (".obj", ".glb", ".gltf")


def open_source(root: Path) -> Source:
    """The files under ``root``.

    Raises
    ------
    UserError
        When there is none that can be read, or there are shapes and images.
    """
    shapes: list[Path] = []
    images: list[Path] = []
    for path in _files(root):
        if path.suffix.lower() in SHAPE_SUFFIXES:
            shapes.append(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            images.append(path)
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
        raise UserError("no shapes or images in this folder", str(root), f"known endings are {endings}")
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
        note=f"{len(items)} {kind} in {len(classes)} classes" if classes else f"{len(items)} {kind} without classes",
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder in the order of their names, without hidden ones and those that come with archives."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in SKIPPED:
            continue
        if path.is_dir() and not path.is_symlink():  # a link upwards would never end
            yield from _files(path)
        elif path.is_file():
            yield path


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
