"""A folder of the user's files: meshes, clouds or images, with or without classes and splits."""

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

from data_prep.geometry.unit_ball import find_format_up
from data_prep.readers.image import ImageLoader
from data_prep.readers.shape import read_shape
from data_prep.source import Item, Source, Split
from data_prep.sources.folder.layout import decide_layout
from data_prep.sources.folder.objects import (
    NOT_READ,
    OTHER_IMAGES,
    OTHER_SHAPES,
    TEXTURED,
    WITH_MESHES,
    check_files,
    choose_files,
    count_suffixes,
    find_textures,
    has_textures,
)
from data_prep.sources.folder.split_words import parse_split_choice
from data_prep.sources.folder.walk import Tree, name_folder

WHERE = "give a folder with meshes, clouds or images: --dataset folder:PATH"
HELP = """folder:PATH: your own meshes, clouds or images.

Meshes: .off .obj .ply .stl .glb .gltf .npz .step .stp; clouds: .xyz .pts .txt .asc .npy .npz (three columns or more)
.pcd .las .laz; voxel grids: .npy .npz (three dimensions) .binvox; images: .png .jpg .bmp .gif .tif
.webp .avif .jp2 .ppm .tga and others; images of several sizes are scaled to one (--size chooses it). Suffixes may be
in capitals. A folder holds shapes or images, not both. With .obj, .glb and .gltf files, images next to them, in
folders below them or in folders named textures or materials count as textures and are skipped. Images in other folders
are left out, and a line counts them. Images with shapes in other formats alone are an error, also if no shape can be
read (.fbx, .iges, ...). .txt files next to images count as lists (names of classes) and are skipped.
Layouts:
  *                                     no classes
  CLASS/**/*                            sub-folders are classes, labelled in the order of their names
  {train,val,test}/CLASS/*              the split above the classes
  CLASS/{train,val,test}/*              or below them
Folders that hold a single folder are passed through. Splits have any usual name, in any case: training, trn, valid,
validation, dev, testing, tst, eval, holdout; also train_set, test_images, val2017. A level holds the splits if all of
its folders name one. Otherwise such a folder is a class like the others. --split and --class-level decide otherwise.
Everything is "train" if there is no split. +z is up unless --up gives another axis; --up by-format reads .glb and .gltf
files with +y up, as their format specifies.
Links to folders are followed. Each real folder is read once, so that no object occurs twice. A link to a folder that
holds this one appears among the failures.
Shapes or images in a format that cannot be read (.fbx, .iges, .usd, ..., .heic, .svg, ...), broken links and lists
(.txt files that hold words) appear among the failures. Other files are counted in the line that prep prints.
README files and hidden files are skipped.
"""
SPLITS_SHOWN = 6


def open_source(
    root: Path,
    split: str | None = None,
    class_level: int | None = None,
    *,
    kind: Literal["shapes", "images"] | None = None,
) -> Source:
    """List the shapes or images under ``root``.

    Parameters
    ----------
    root : Path
        The folder.
    split : str, optional
        Which folders are splits, see ``parse_split_choice``; found by their names by default.
    class_level : int, optional
        The level of the class folders, counted from 1 below ``root``; 0 for no classes; found by
        default.
    kind : {"shapes", "images"}, optional
        The kind of files to list if the folder may hold both; found by their endings by default.

    Raises
    ------
    UserError
        When no file can be read, there are both shapes and images, or some folders name splits and
        others next to them do not.
    """
    choice = parse_split_choice(split)
    tree = Tree()
    tree.read(root)
    files = sorted(tree.files, key=lambda path: path.relative_to(root).parts)
    kind, candidates = choose_files(root, files, kind)
    chosen = set(candidates)
    sizes, reasons = check_files(files, chosen, OTHER_SHAPES if kind == "shapes" else OTHER_IMAGES)
    skipped = [path for path in files if path not in chosen and not reasons[path]]
    reasons.update(tree.unread)
    failed = [path for path in files if reasons[path]]
    # Files that cannot be read also show which folders there are. Texts next to meshes may be lists.
    objects = [*sizes, *failed]
    has_others = any(path.suffix.lower() != ".txt" for path in sizes)
    layout = decide_layout(
        [path.relative_to(root).parts[:-1] for path in objects],
        choice,
        class_level,
        [has_others and path.suffix.lower() == ".txt" for path in objects],
    )
    groups = {path: group for path, group in zip(sizes, layout.groups, strict=False) if group is not None}
    classes = tuple(sorted({class_name for _, class_name in groups.values() if class_name is not None}))
    digest = sha256()
    items = []
    for path, (split_of_item, class_name) in groups.items():
        identity = path.relative_to(root).as_posix()
        # Maps of other splits or classes are other data.
        digest.update(f"{identity} {sizes[path]} {split_of_item} {class_name}\n".encode(errors="replace"))
        label = -1 if class_name is None else classes.index(class_name)
        load = partial(read_shape, path) if kind == "shapes" else ImageLoader(path)
        items.append(Item(identity, label, split_of_item, load, find_format_up(path) if kind == "shapes" else None))
    missing = tuple((path.relative_to(root).as_posix(), reason) for path, reason in sorted(reasons.items()) if reason)
    total, plural = len(items) + len(missing), "es" * (len(classes) != 1)
    counts = f"{total} {kind[: None if total != 1 else -1]}"
    notes = [f"{counts} in {len(classes)} class{plural}" if classes else f"{counts} without classes"]
    notes += _describe_missing([reason for _, reason in missing])
    loose = sum(item.label < 0 for item in items)
    if classes and loose:
        notes.append(f"{loose} of them in no class folder, without a label")
    notes += _describe_splits(layout.names)
    notes += _describe_unread(len(sizes) - len(groups))
    notes += _describe_skipped(root, skipped, [*candidates, *failed] if kind == "shapes" else [])
    notes += _describe_repeated(tree.repeated)
    return Source(
        name=f"folder:{name_folder(root)}",
        kind=kind,
        classes=classes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=missing,
        note="; ".join(notes),
        doubts=tuple(layout.doubts),
    )


def _describe_unread(documents: int) -> list[str]:
    """Count the files in folders of documents."""
    return [f"not read: {documents} file{'s' * (documents != 1)} in folders of documents"] if documents else []


def _describe_repeated(folders: int) -> list[str]:
    """Count the folders behind links that are included already."""
    what = "1 folder behind a link" if folders == 1 else f"{folders} folders behind links"
    return [f"{what} not read again, because the files are already included"] if folders else []


def _describe_splits(names: Mapping[str, Split]) -> list[str]:
    """Describe which folders were read as splits, if a name differs from that of its split."""
    if all(name == split for name, split in names.items()):
        return []
    shown = [f"{name}/ is {split}" for name, split in list(names.items())[:SPLITS_SHOWN]]
    more = len(names) - SPLITS_SHOWN
    return [f"splits by folder: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"]


def _describe_missing(reasons: Sequence[str]) -> list[str]:
    """Count the files that cannot become objects, known before any file is read: more can fail later."""
    formats = sum(reason.endswith(NOT_READ) for reason in reasons)
    others = len(reasons) - formats
    notes = [f"{formats} {'is' if formats == 1 else 'are'} of formats that are not read"] if formats else []
    if others:
        notes.append(f"{others} {'is' if others == 1 else 'are'} packed or cannot be opened")
    return notes


def _describe_skipped(root: Path, skipped: Sequence[Path], shapes: Sequence[Path]) -> list[str]:
    """Count the files that are no objects by their suffixes."""
    with_meshes = [path for path in skipped if has_textures(shapes) and path.suffix.lower() in WITH_MESHES]
    textures = find_textures(with_meshes, root, shapes)
    images = len(with_meshes) - len(textures)
    others = sorted(set(skipped) - set(with_meshes))
    notes = [f"skipped as textures and materials: {count_suffixes(textures)}"] if textures else []
    if images:
        what = "1 image is" if images == 1 else f"{images} images are"
        notes.append(f"{what} left out, in folders without {' '.join(TEXTURED)} files: prepare such images separately")
    return [*notes, f"not read: {count_suffixes(others)}"] if others else notes
