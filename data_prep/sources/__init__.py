"""The data sets that can be prepared: ``SOURCES`` lists them, ``open_source`` opens one by its name.

A new one is a file of this folder with ``open_source(root)``, ``WHERE`` (one line: where to get the raw data) and
``HELP`` (where from, terms, layouts), and a line in ``SOURCES``.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from spectral_ssl.ground.errors import UserError, unknown_name

if TYPE_CHECKING:
    from data_prep.sources.item import Source

FOLDER_PREFIX = "folder:"


@dataclass(frozen=True)
class SourceEntry:
    """What is known of a data set without looking at its files.

    The module is imported when it is asked for something, because the readers in it import this package in turn (an
    item is made of the types in ``data_prep.sources.item``).

    Attributes
    ----------
    module : str
        The file of this folder that reads it.
    kind : {"shapes", "images", "either"}
        What its items are.
    needs_root : bool
        Whether there are raw files at all.
    description : str
        One line for the list of data sets.
    function : str
        The function of that module that opens it.
    """

    module: str
    kind: Literal["shapes", "images", "either"]
    needs_root: bool
    description: str
    function: str = "open_source"

    def open(self, root: Path) -> "Source":
        """List the objects under ``root``. Raises UserError when they are not there or in no known layout."""
        return cast("Source", getattr(self._imported(), self.function)(root))

    @property
    def where(self) -> str:
        """One line: where to get the raw data."""
        return str(self._imported().WHERE)

    @property
    def help(self) -> str:
        """Where to get it, under what terms, which layouts are read."""
        return str(self._imported().HELP)

    def _imported(self) -> Any:
        return import_module(f"{__name__}.{self.module}")


SOURCES: dict[str, SourceEntry] = {
    "shapes": SourceEntry(
        "shapes", "shapes", False, "12 classes of solids and furniture made on the spot, 720 objects"
    ),
    "modelnet10": SourceEntry(
        "modelnet", "shapes", True, "CAD models of 10 kinds of furniture, 4899 objects", "open_modelnet10"
    ),
    "modelnet40": SourceEntry(
        "modelnet", "shapes", True, "CAD models of 40 kinds of things, 12311 objects", "open_modelnet40"
    ),
    "shapenet": SourceEntry("shapenet", "shapes", True, "ShapeNetCore v1 or v2, 55 to 57 classes, about 51000 objects"),
    "digits": SourceEntry("digits", "images", False, "8x8 handwritten digits that come with scikit-learn, 1797 images"),
    "mnist": SourceEntry("mnist", "images", True, "28x28 handwritten digits, 70000 images"),
    "cifar10": SourceEntry("cifar10", "images", True, "32x32 photographs in 10 classes, 60000 images"),
    "folder": SourceEntry("folder", "either", True, "your own meshes, clouds or images: folder:PATH"),
}


def open_source(name: str, root: Path | None = None) -> "Source":
    """Find a data set and list its objects; nothing is loaded yet.

    Parameters
    ----------
    name : str
        A key of ``SOURCES``, or ``folder:PATH`` for a folder of one's own files.
    root : Path, optional
        Folder of the raw data; not needed for the built-in sets and for ``folder:PATH``.

    Returns
    -------
    Source

    Raises
    ------
    UserError
        When there is no such data set, or its raw data is not there or not in a known layout.
    """
    if name.startswith(FOLDER_PREFIX):
        root = Path(name.removeprefix(FOLDER_PREFIX)).expanduser()
        entry = SOURCES["folder"]
    elif name in SOURCES:
        entry = SOURCES[name]
    else:
        raise unknown_name("dataset", name, SOURCES)
    if entry.needs_root and (root is None or not root.is_dir()):
        raise UserError(f"no raw data for {name!r}", f"no folder {root}" if root else "no folder given", entry.where)
    return entry.open(root if root is not None else Path())
