"""The supported data sets: ``SOURCES`` lists them, ``open_source`` opens one by its name.

To add a data set, add a file to this folder and a line to ``SOURCES``. The file has
``open_source(root)``, ``WHERE`` (one line: where to get the raw data) and ``HELP`` (origin, terms,
layouts).

The text after a colon in a name is either the path of the files (``folder:PATH``) or a choice
(``celeba:Male``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from data_prep.sources.download.catalogue import DOWNLOADS
from spectral_ssl.ground.errors import NoRawData, UserError, unknown_name
from spectral_ssl.ground.files import expand_home

if TYPE_CHECKING:
    from data_prep.source import Source


@dataclass(frozen=True)
class SourceEntry:
    """The description of a data set that is available without its files.

    The module is imported at first use, because a list of data sets must not import their readers.

    Attributes
    ----------
    module : str
        The file of this folder that reads the data set.
    kind : {"shapes", "images", "either"}
        The type of its items.
    needs_root : bool
        Whether the data set has raw files.
    description : str
        One line for the list of data sets.
    function : str
        The function of that module that opens the data set.
    after_colon : {"", "path", "choice"}
        The text that may follow the name and a colon: none; the path of the files (required); a
        choice, which is passed to the function after the root.
    """

    module: str
    kind: Literal["shapes", "images", "either"]
    needs_root: bool
    description: str
    function: str = "open_source"
    after_colon: Literal["", "path", "choice"] = ""

    def open(self, root: Path, *choice: str, **layout: object) -> "Source":
        """List the objects under ``root``; raise a UserError if there are none in a known layout."""
        return cast("Source", getattr(self._import_module(), self.function)(root, *choice, **layout))

    @property
    def where(self) -> str:
        """One line: where to get the raw data."""
        return str(self._import_module().WHERE)

    @property
    def help(self) -> str:
        """Origin, terms and layouts of the raw data."""
        return str(self._import_module().HELP)

    def _import_module(self) -> Any:
        return import_module(f"data_prep.sources.{self.module}")


SOURCES: dict[str, SourceEntry] = {
    "shapes": SourceEntry(
        "built_in.shapes", "shapes", False, "12 classes of generated solids and furniture, 720 objects"
    ),
    "universe": SourceEntry(
        "universe.source", "shapes", False, "endless procedural shapes without classes: as many as --count"
    ),
    "modelnet10": SourceEntry(
        "modelnet", "shapes", True, "CAD models of 10 kinds of furniture, 4899 objects", "open_modelnet10"
    ),
    "modelnet40": SourceEntry(
        "modelnet", "shapes", True, "CAD models of 40 kinds of objects, 12311 objects", "open_modelnet40"
    ),
    "shapenet": SourceEntry("shapenet", "shapes", True, "ShapeNetCore v1 or v2, 55 to 57 classes, about 51000 objects"),
    "shapenetpart": SourceEntry(
        "shapenet_part", "shapes", True, "ShapeNet part set, clouds in 16 classes, 16881 objects"
    ),
    "pyg": SourceEntry(
        "pyg", "shapes", True, "processed files of torch-geometric data sets: pyg:PATH", after_colon="path"
    ),
    "digits": SourceEntry(
        "built_in.digits", "images", False, "8x8 handwritten digits that come with scikit-learn, 1797 images"
    ),
    "toy": SourceEntry("built_in.line", "images", False, "numbers on the line [-1, 1], for the task of that name"),
    "mnist": SourceEntry("mnist", "images", True, "28x28 handwritten digits, 70000 images"),
    "cifar10": SourceEntry("cifar10", "images", True, "32x32 photographs in 10 classes, 60000 images"),
    "celeba": SourceEntry(
        "celeba", "images", True, "202599 faces; celeba:Male uses an attribute as the class", after_colon="choice"
    ),
    "facades": SourceEntry("pairs", "images", True, "pairs: photographs and label maps of 606 fronts", "open_facades"),
    "maps": SourceEntry("pairs", "images", True, "pairs: aerial photographs and street maps", "open_maps"),
    "cityscapes": SourceEntry("pairs", "images", True, "pairs: street scenes and label maps", "open_cityscapes"),
    "edges2shoes": SourceEntry("pairs", "images", True, "pairs: outlines and photographs of shoes", "open_edges2shoes"),
    "edges2handbags": SourceEntry(
        "pairs", "images", True, "pairs: outlines and photographs of handbags", "open_edges2handbags"
    ),
    "landmarks2faces": SourceEntry(
        "pairs", "images", True, "pairs: images of landmarks and photographs of faces", "open_landmarks2faces"
    ),
    "normals2pets": SourceEntry(
        "pairs", "images", True, "pairs: surface normals and photographs of pets", "open_normals2pets"
    ),
    "pairs": SourceEntry(
        "pairs", "images", True, "your images, two side by side in a file: pairs:PATH", "open_pairs", after_colon="path"
    ),
    "folder": SourceEntry(
        "folder.source", "either", True, "your meshes, clouds or images: folder:PATH", after_colon="path"
    ),
}


def split_name(name: str) -> tuple[str, str]:
    """Split a name into a key of ``SOURCES`` and the text after the colon ("" without a colon).

    The name of an existing folder that is no data set stands for ``folder:NAME``.

    Raises
    ------
    UserError
        When there is no such data set and no such folder, or the data set takes no text after a
        colon.
    """
    key, _, rest = name.partition(":")
    if key in SOURCES:
        if rest and not SOURCES[key].after_colon:
            raise UserError(f"{key!r} takes nothing after a colon", repr(name), f"write {key}")
        return key, rest
    path = expand_home(name)
    if path.is_dir():
        return "folder", name
    refuse_single_file(path)
    near = _find_near_folder(path)
    if near:
        raise UserError("no such data set and no such folder", repr(name), f"did you mean the folder {near!r}?")
    if len(path.parts) > 1:
        raise UserError("no such folder", repr(name), "give the path of a folder, or a name of `list datasets`")
    unknown = unknown_name("dataset", key, SOURCES)
    raise UserError(unknown.what, unknown.got, f"{unknown.do}, or give the path of a folder of your files")


def refuse_single_file(path: Path) -> None:
    """Raise a UserError if a path that should be a folder is a file.

    Raises
    ------
    UserError
        When it is a file; the error says what the user can do with such a file.
    """
    if not path.is_file():
        return
    if path.suffix.lower() == ".h5":
        do = "it is a map file or a feature file: give it to `pretrain --data` or `verify`"
    elif path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar"):
        do = "unpack it, and give the folder"
    else:
        do = "put it into a folder and give the folder; `neighbors FILE` looks up one file in a trained run"
    raise UserError("a single file, not a folder", repr(str(path)), do)


def _refuse_options(name: str, taken: Mapping[str, object], **options: object) -> None:
    """Raise a UserError for an option that has a value and that the data set does not take."""
    for option, value in options.items():
        if value is not None and option not in taken:
            what = "only a folder of your own has splits and classes to choose"
            if option == "count":
                what = "only the universe has a number of shapes to choose"
            raise UserError(what, f"--{option.replace('_', '-')} {value} with {name!r}", "leave it out")


def _find_near_folder(path: Path) -> str:
    """Find the folder with the most similar name next to where a path points; return "" without one."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_dir()]
    except OSError:
        return ""
    near = get_close_matches(path.name, names, n=1, cutoff=0.7)
    return str(path.with_name(near[0])) if near else ""


def build_help_text(name: str) -> str:
    """Build the help of a data set for the user, several lines: origin, terms and layouts.

    Parameters
    ----------
    name : str
        A name as for ``open_source``; the text after a colon is ignored.

    Raises
    ------
    UserError
        When there is no such data set.
    """
    key, _ = split_name(name)
    entry = SOURCES[key]
    lines = [entry.help.strip()]
    if entry.needs_root:
        lines.append(f"Where to get it: {entry.where}")
    if key in DOWNLOADS:
        lines.append(f"Or let prep download it: spectral-ssl prep --dataset {key} --download")
    return "\n".join(lines)


def open_source(
    name: str,
    root: Path | None = None,
    size: int | None = None,
    *,
    split: str | None = None,
    class_level: int | None = None,
    count: int | None = None,
) -> "Source":
    """Find a data set and list its objects without loading them.

    Parameters
    ----------
    name : str
        A key of ``SOURCES``, or a key with a colon: ``folder:PATH`` and ``pairs:PATH`` for a folder
        of the user's files, ``celeba:ATTRIBUTE`` for a choice of classes. The path of a folder
        alone stands for ``folder:PATH``.
    root : Path, optional
        Folder of the raw data. It is not needed for built-in data sets, or if the name holds a
        path.
    size : int, optional
        Pixels on a side to which images are scaled; by default they are not scaled.
    split : str, optional
        Which folders of a user's folder are splits: "auto" (the default), "none", their level, or
        names such as "extra=train".
    class_level : int, optional
        The level of the class folders of a user's folder, counted from 1 below it; 0 for no
        classes; found by default.
    count : int, optional
        The number of shapes of the universe; 2048 by default.

    Returns
    -------
    Source

    Raises
    ------
    UserError
        When there is no such data set, or its raw data does not exist or has no known layout.
    """
    key, rest = split_name(name)
    entry = SOURCES[key]
    layout: dict[str, object] = {"split": split, "class_level": class_level} if key == "folder" else {}
    if key == "universe":
        layout["count"] = count
    _refuse_options(name, layout, split=split, class_level=class_level, count=count)
    choice: tuple[str, ...] = ()
    if entry.after_colon == "path" and rest:
        root = expand_home(rest)
    elif rest:
        choice = (rest,)
    advice = f"add --download, or {entry.where}" if key in DOWNLOADS else entry.where
    # A data set of torch-geometric may be a single file.
    present = root is not None and (root.is_dir() or (key == "pyg" and root.is_file()))
    if entry.needs_root and not present:
        if entry.after_colon == "path" and root is not None:
            refuse_single_file(root)
        near = _find_near_folder(root) if root is not None and rest else ""
        hint = f"did you mean {near!r}? " if near else ""
        more = f"{hint}{advice}; more: `spectral-ssl list datasets {key}`"
        raise NoRawData(f"no raw data for {name!r}", f"no folder {root}" if root else "no folder given", more)
    source = entry.open(root if root is not None else Path(), *choice, **layout)
    if size is None:
        return source
    from data_prep.readers.image import resize_source  # A list of data sets must not import numpy.

    return resize_source(source, size)
