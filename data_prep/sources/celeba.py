"""CelebA: aligned photographs of faces, with one of their 40 attributes as the class, or several as the classes."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from data_prep.readers.image import ImageLoader
from data_prep.source import Image, Item, Source, Split
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name

WHERE = (
    "get img_align_celeba.zip, list_attr_celeba.txt and list_eval_partition.txt from "
    "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (non-commercial research only), unpack them into one folder, "
    "and give it as --root"
)
HELP = """celeba, celeba:ATTRIBUTE, celeba:hair: 202599 aligned photographs of faces, 178x218 pixels, 40 attributes.

Where from: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html. Terms: non-commercial research only, no redistribution.
Cite Z. Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015.
Layout, in --root itself or in a folder celeba or CelebA inside it:
  img_align_celeba/000001.jpg ..        (or img_align_celeba/img_align_celeba/, as some archives unpack)
  list_attr_celeba.txt                  a count, the names of the attributes, a line of 1 and -1 for each image
  list_eval_partition.txt               0 train, 1 val, 2 test; without it everything is "train"
The same tables with commas (.csv) are accepted too.
celeba:Male uses the attribute Male as the class (0: without it, 1: with it); plain celeba has no classes.
celeba:hair has five classes, the hair colours Blond_Hair, Black_Hair, Brown_Hair, Gray_Hair and Bald. Any others are
written as celeba:Smiling+Wearing_Hat. Faces with none of the attributes, or with more than one, are left out.
The middle 148x148 pixels are used, as is usual: the face without most of the background. --size 64 scales them.
"""
SIDE = 148  # Pixels on a side of the middle square that is used.
OFFICIAL_COUNT = 202599
# name: attributes of which each face has one
GROUPS = {"hair": ("Blond_Hair", "Black_Hair", "Brown_Hair", "Gray_Hair", "Bald")}
LEFT_OUT = -2  # label of a face that is in none of several classes, or in more than one
SPLITS: dict[str, Split] = {"0": "train", "1": "val", "2": "test"}
LARGEST_TABLE = 128 << 20  # bytes; the official one has 27 million


def open_source(root: Path, attribute: str = "") -> Source:
    """List the images of CelebA under ``root``, with attributes as the classes or without classes.

    Raises
    ------
    UserError
        When the data set is not there, its tables are damaged, or there is no such attribute.
    """
    folders = [root / sub for sub in ("", "celeba", "CelebA")]
    folder = next((folder for folder in folders if (folder / "img_align_celeba").is_dir()), None)
    if folder is None:
        raise UserError("no celeba in this folder", f"{root} has no img_align_celeba/", WHERE)
    images = folder / "img_align_celeba"
    if (images / "img_align_celeba").is_dir():
        images = images / "img_align_celeba"
    attributes = GROUPS.get(attribute, tuple(attribute.split("+"))) if attribute else ()
    labels = _read_labels(folder, attributes) if attribute else {}
    partition = _find_table(folder, "list_eval_partition")
    splits = _read_splits(partition) if partition else {}
    paths = sorted(path for path in images.glob("[!.]*") if path.suffix.lower() == ".jpg")
    names = [path.name for path in paths]
    wanted = {name for name, label in labels.items() if label != LEFT_OUT} | (splits.keys() - labels.keys())
    listed = sorted(wanted - set(names))
    missing = [(name, "listed, but without an image") for name in listed]
    items: list[Item] = []
    digest = sha256("+".join(attributes).encode())
    left_out = 0
    for path in paths:
        if (attribute and path.name not in labels) or (partition and path.name not in splits):
            missing.append((path.name, "not in the tables"))
            continue
        label, split = labels.get(path.name, -1), splits.get(path.name, "train")
        if label == LEFT_OUT:
            left_out += 1
            continue
        items.append(Item(path.name, label, split, ImageLoader(path, _cut_face, shape=(3, SIDE, SIDE))))
        digest.update(f"{path.name} {label} {split} {path.stat().st_size}\n".encode(errors="replace"))
    if not items:
        if left_out:
            got = f"{left_out} faces with none or several of {', '.join(attributes)}"
            raise UserError("no image of these classes", got, "name other attributes")
        raise UserError("no image that the tables list", str(images), "unpack the archive again")
    return Source(
        name="celeba",
        kind="images",
        classes=(f"not {attribute}", attribute) if len(attributes) == 1 else attributes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=tuple(missing),
        note=(
            f"{len(items)} of {OFFICIAL_COUNT} faces, middle {SIDE}x{SIDE} pixels"
            + (f", class by {attribute!r}" if attribute else ", no classes (celeba:ATTRIBUTE gives them)")
            + (f", {left_out} in none or several of the classes left out" if len(attributes) > 1 else "")
            + ("" if partition else ", no list_eval_partition.txt: everything is train")
        ),
    )


def _find_table(folder: Path, stem: str) -> Path | None:
    return next((folder / (stem + ending) for ending in (".txt", ".csv") if (folder / (stem + ending)).is_file()), None)


def _read_rows(path: Path) -> list[list[str]]:
    """Read the words of each line that is not empty, separated by white space or commas."""
    if path.stat().st_size > LARGEST_TABLE:
        raise UserError("not a table of celeba", f"{path.stat().st_size} bytes in {path}", "get it again")
    text = path.read_text(encoding="utf-8", errors="replace").replace(",", " ")
    return [words for line in text.splitlines() if (words := line.split())]


def _read_labels(folder: Path, wanted: tuple[str, ...]) -> dict[str, int]:
    """Read the label of each image name: 1 with the one attribute and 0 without it, or the number of one of several."""
    table = _find_table(folder, "list_attr_celeba")
    if table is None:
        raise UserError("celeba without its attributes", f"no list_attr_celeba.txt in {folder}", WHERE)
    rows = _read_rows(table)
    if rows and len(rows[0]) == 1:  # The table with commas does not have this count.
        rows = rows[1:]
    attributes = rows[0] if rows else []
    if attributes[:1] == ["image_id"]:
        attributes = attributes[1:]
    for number, attribute in enumerate(wanted):
        if attribute not in attributes:
            raise unknown_name("attribute of celeba", attribute, [*GROUPS, *attributes])
        if attribute in wanted[:number]:
            raise UserError("an attribute of celeba twice", attribute, "name each attribute once")
    columns = [attributes.index(attribute) + 1 for attribute in wanted]
    labels = {}
    for words in rows[1:]:
        values = [words[column] for column in columns] if len(words) == len(attributes) + 1 else [""]
        if not set(values) <= {"1", "-1"}:
            raise UserError("a damaged table of celeba", f"line {' '.join(words)[:60]!r} in {table}", "get it again")
        if len(wanted) == 1:
            labels[words[0]] = int(values[0] == "1")
        else:
            labels[words[0]] = values.index("1") if values.count("1") == 1 else LEFT_OUT
    return labels


def _read_splits(path: Path) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    for words in _read_rows(path):
        if words[0] == "image_id":
            continue
        if len(words) != 2 or words[1] not in SPLITS:
            raise UserError("a damaged table of celeba", f"line {' '.join(words)[:60]!r} in {path}", "get it again")
        splits[words[0]] = SPLITS[words[1]]
    return splits


def _cut_face(image: Image) -> Image:
    """Cut the middle square out of an image; raise an ObjectError if it is smaller."""
    _, height, width = image.shape
    if min(height, width) < SIDE:
        raise ObjectError(f"{width}x{height} pixels, less than {SIDE} on a side")
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    return np.ascontiguousarray(image[:, top : top + SIDE, left : left + SIDE])
