"""Pairs of images, side by side in one file, in the layout of the pix2pix data sets."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from data_prep.readers.image import ImageLoader
from data_prep.readers.images.opening import IMAGE_SUFFIXES
from data_prep.source import Image, Item, Shape, Source, Split
from data_prep.sources.folder.split_words import assign_splits, find_split
from data_prep.sources.folder.walk import name_folder
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name

WHERE = (
    "get NAME.tar.gz from http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/, unpack it, and give --root the folder "
    "with train/ (for your own pairs use --dataset pairs:PATH)"
)
UNPUBLISHED = {"landmarks2faces", "normals2pets"}
MAKE = "no archive of it was found: make files with the photograph on the right, and give --root the folder with train/"
HELP = """facades, maps, cityscapes, edges2shoes, edges2handbags, landmarks2faces, normals2pets, pairs:PATH: two images
side by side in each file.

Where from: http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/ (P. Isola et al., "Image-to-Image Translation with
Conditional Adversarial Networks", CVPR 2017). Terms are those of the original data sets: CMP Facades (R. Tylecek and
R. Sara, GCPR 2013), Google Maps, Cityscapes (non-commercial, on registration), UT Zappos50K, Amazon handbags.
Layout, in --root itself or in a folder of the set's own name inside it:
  {train,val,test}/*.jpg (or .png)      the left half is A, the right half is B
Archives of landmarks2faces and normals2pets were not found: put the image of the facial landmarks or of
the surface normals on the left and the photograph on the right of each file.
Splits of pairs:PATH may have other usual names (training, valid, test_set).
Files without such a folder are all "train". There are no classes. A map holds the channels of A, then those of B. The
map file serves both directions, and the task chooses the direction. In facades and cityscapes A is the photograph and B
the labels. In maps A is the aerial photograph. In the others the photograph is B.
The images are large (256 pixels, maps 600): --size 64 makes them smaller.
"""
SPLITS = ("train", "val", "test")


def _open_named(name: str, root: Path) -> Source:
    """List the pairs under ``root`` or ``root/name``; raise a UserError if there are none."""
    folder = next((root / sub for sub in ("", name) if any((root / sub / split).is_dir() for split in SPLITS)), None)
    if folder is None:
        raise UserError(
            f"no {name} in this folder", f"{root} has no train/, val/ or test/", MAKE if name in UNPUBLISHED else WHERE
        )
    return _open(name, folder)


open_facades = partial(_open_named, "facades")
open_maps = partial(_open_named, "maps")
open_cityscapes = partial(_open_named, "cityscapes")
open_edges2shoes = partial(_open_named, "edges2shoes")
open_edges2handbags = partial(_open_named, "edges2handbags")
open_landmarks2faces = partial(_open_named, "landmarks2faces")
open_normals2pets = partial(_open_named, "normals2pets")


def open_pairs(root: Path) -> Source:
    """List the pairs in a folder of the user's; raise a UserError if there are none."""
    return _open(f"pairs:{name_folder(root)}", root)


def select_side(source: Source, side: str) -> Source:
    """Return the left (A) or the right (B) images of a source of pairs, as a source of single images.

    Raises
    ------
    UserError
        When the source has no pairs, or there is no such side.
    """
    if not source.paired:
        raise UserError("--side is for paired images", f"data set {source.name!r}", "leave it out")
    if side not in ("A", "B"):
        raise unknown_name("side", side, ("A", "B"))
    items = tuple(replace(item, load=_select(item.load, side)) for item in source.items)
    digest = sha256(f"{source.digest} side {side}".encode()).hexdigest()
    return replace(source, name=f"{source.name} side {side}", items=items, digest=digest, paired=False)


def _select(load: Callable[[], Shape | Image], side: str) -> Callable[[], Shape | Image]:
    """Return a loader of the left (A) or the right (B) image of a pair."""
    if isinstance(load, ImageLoader) and load.cut is cut_pair:
        return replace(load, cut=_cut_left if side == "A" else _cut_right)
    return partial(_half, load, side)


def _half(load: Callable[[], Shape | Image], side: str) -> Image:
    pair = load()
    if isinstance(pair, Shape):
        raise TypeError("a shape instead of a pair of images")
    half = len(pair) // 2
    return pair[:half] if side == "A" else pair[half:]


def _open(name: str, folder: Path) -> Source:
    levels, others = _find_splits(folder)
    items: list[Item] = []
    digest = sha256()
    for level, split in levels.items():
        paths = (path for path in level.glob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        for path in sorted(paths, key=_sort_key):
            identity = f"{level.name if others is not None else split}/{path.name}"
            items.append(Item(identity, -1, split, ImageLoader(path, cut_pair)))
            digest.update(f"{identity} {path.stat().st_size}\n".encode(errors="replace"))
    if not items:
        raise UserError("no images in this folder", str(folder), f"known endings are {' '.join(IMAGE_SUFFIXES)}")
    counts = Counter(item.split for item in items)
    by_split = ", ".join(f"{count} {split}" for split, count in counts.items())
    notes = [f"{len(items)} pair{'s' * (len(items) != 1)} ({by_split})"]
    if others:
        notes.append(f"not read, because they name no split: {', '.join(f'{each}/' for each in others)}")
    return Source(
        name=name,
        kind="images",
        classes=(),
        items=tuple(items),
        digest=digest.hexdigest(),
        note="; ".join(notes),
        paired=True,
    )


def _find_splits(folder: Path) -> tuple[dict[Path, Split], list[str] | None]:
    """Find the split folders, and the names of the other folders; without split folders all is "train", and None.

    Folders that hold nothing but one folder are passed through.
    """
    while True:
        entries = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
        folders = [each for each in entries if each.is_dir()]
        names = [each.name for each in folders if find_split(each.name) is not None]
        splits = assign_splits(names, {})
        if splits:
            levels = [each for each in folders if each.name in splits]
            levels.sort(key=lambda each: SPLITS.index(splits[each.name]))
            return {each: splits[each.name] for each in levels}, [each.name for each in folders if each not in levels]
        if len(folders) != 1 or any(each.suffix.lower() in IMAGE_SUFFIXES for each in entries):
            return {folder: "train"}, None
        folder = folders[0]


def _sort_key(path: Path) -> tuple[int, str]:
    """Return a key that sorts numbered names by their numbers (2.jpg before 10.jpg), and other names after them."""
    number = path.stem if path.stem.isascii() and path.stem.isdigit() else ""
    return (int(number[:18]) if number else 10**18, path.name)


def cut_pair(both: Image) -> Image:
    """Cut an image of two images side by side in the middle.

    Parameters
    ----------
    both : ndarray, shape (1 or 3, H, W), uint8
        The image.

    Returns
    -------
    ndarray, shape (2 or 6, H, W / 2), uint8
        The channels of the left image, then those of the right image.

    Raises
    ------
    ObjectError
        When the image cannot be cut in the middle.
    """
    return np.concatenate([_cut_left(both), _cut_right(both)])


def _cut_left(both: Image) -> Image:
    return np.ascontiguousarray(both[:, :, : _find_middle(both)])


def _cut_right(both: Image) -> Image:
    return np.ascontiguousarray(both[:, :, _find_middle(both) :])


def _find_middle(both: Image) -> int:
    if both.shape[2] % 2:
        raise ObjectError(f"a width of {both.shape[2]} pixels: not two images side by side")
    return both.shape[2] // 2
