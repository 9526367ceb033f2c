"""Listing of all files below a folder: links to folders are followed, each real folder is read once."""

from pathlib import Path

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import expand_home

SKIPPED = ("readme.txt", "license.txt", "licence.txt", "__macosx")


def name_folder(path: Path) -> str:
    """Return the name of a folder as the user writes it: that of a link, not that of the folder behind it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from data_prep.sources.folder.walk import name_folder
    >>> name_folder(Path("a/scans/")), name_folder(Path("/a/b/../scans"))
    ('scans', 'scans')
    """
    path = expand_home(path)
    return (
        path.resolve() if ".." in path.parts else path.absolute()
    ).name  # The parent of a link is that of its target


class Tree:
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
        """Read a folder, and then the targets of its links.

        Raises
        ------
        UserError
            When a folder cannot be read.
        """
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
