"""The workspace: the folder with raw data, maps, runs and features, and its default paths."""

import os
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from spectral_ssl.ground.errors import UserError, find_near_name
from spectral_ssl.ground.files import expand_home


def write_option(workspace: str | Path | None) -> str:
    """Write the end of a suggested command: the option for the workspace that the user gave, or nothing.

    Examples
    --------
    >>> from spectral_ssl.ground.workspace import write_option
    >>> write_option("my files"), write_option(None)
    (" --workspace 'my files'", '')
    """
    return f" --workspace {shlex.quote(str(workspace))}" if workspace is not None else ""


@dataclass(frozen=True)
class Workspace:
    """The folder that contains every default path.

    Attributes
    ----------
    root : Path
        The folder; it is made when a file is first written.
    """

    root: Path

    @staticmethod
    def find(root: str | Path | None = None) -> "Workspace":
        """Find the workspace: at ``root``, by default at ``$SPECTRAL_SSL_HOME``, else at ``./workspace``."""
        _check_path("workspace", root)
        root = root or os.environ.get("SPECTRAL_SSL_HOME") or "workspace"
        return Workspace(expand_home(root))

    def raw(self, dataset: str) -> Path:
        """Return the default folder of the raw files of a dataset."""
        return self.root / "raw" / dataset

    def maps(self, dataset: str, basis: str) -> Path:
        """Return the default output path of ``prep``."""
        return self.root / "maps" / f"{dataset}-{basis}.h5"

    def features(self, run: str, data: str) -> Path:
        """Return the default output path of ``export``."""
        return self.root / "features" / f"{run}-{data}.h5"

    def map_files(self) -> list[Path]:
        """List the map files, the one that was written last first."""
        return sorted((self.root / "maps").glob("*.h5"), key=_age, reverse=True)

    def new_run(self, method: str, task: str) -> Path:
        """Return a path for a new run folder, named by the time, the method and the task."""
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{method}-{task}"
        path = self.root / "runs" / stem
        number = 2
        while path.exists():
            path = self.root / "runs" / f"{stem}-{number}"
            number += 1
        return path

    def latest_run(self) -> Path:
        """Return the run folder with the newest checkpoint; folders without a checkpoint are skipped.

        Raises
        ------
        UserError
            If no run has a checkpoint.
        """
        newest = max((self.root / "runs").glob("*/checkpoints/last.pt"), key=_age, default=None)
        if newest is None:
            raise UserError(
                "no run yet", f"nothing in {self.root / 'runs'}", "run `spectral-ssl pretrain` first or give --run"
            )
        return newest.parent.parent

    def find_run(self, run: str | Path | None = None) -> Path:
        """Find a run folder by its path, or by its name in this workspace; the latest run by default.

        Raises
        ------
        UserError
            If there is no such run.
        """
        if run is None:
            return self.latest_run()
        _check_path("run", run)
        if not str(run).strip():  # it would be the present folder
            raise UserError("no name of the run", "an empty text", "give its name or its folder")
        path, named = Path(run), self.root / "runs" / run
        if path.is_dir():
            return path
        if len(path.parts) == 1 and named.is_dir():
            return named
        near = find_near_name(path.name, [folder.name for folder in self.runs()])
        hint = f"did you mean {near!r}? " if near else ""
        raise UserError("no such run", str(run), f"{hint}see `spectral-ssl list runs`, or give the run's folder")

    def runs(self) -> list[Path]:
        """List the run folders in name order, including those without a checkpoint."""
        return sorted(path.parent for path in (self.root / "runs").glob("*/config.toml"))


def _check_path(name: str, value: object) -> None:
    """Raise a UserError if a value is set but is no path."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} of the wrong type", f"{value!r:.80} ({type(value).__name__})", "give a path")


def _age(path: Path) -> tuple[int, str]:
    """Return a key that sorts paths by the time they were written; among equal times by their names."""
    return path.stat().st_mtime_ns, str(path)
