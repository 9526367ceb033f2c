"""The workspace: the folder with raw data, maps, runs and features, and its default paths."""

import os
import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from spectral_ssl.ground.errors import UserError


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
        root = root or os.environ.get("SPECTRAL_SSL_HOME") or "workspace"
        return Workspace(Path(root).expanduser())

    def raw(self, dataset: str) -> Path:
        """Return the default folder of the raw files of a dataset."""
        return self.root / "raw" / dataset

    def maps(self, dataset: str, basis: str) -> Path:
        """Return the default output path of ``prep``."""
        return self.root / "maps" / f"{dataset}-{basis}.h5"

    def features(self, run: str, data: str) -> Path:
        """Return the default output path of ``export``."""
        return self.root / "features" / f"{run}-{data}.h5"

    def newest_maps(self) -> Path | None:
        """Return the map file that was written last, or None."""
        return _newest(sorted((self.root / "maps").glob("*.h5")))

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
        newest = _newest(sorted((self.root / "runs").glob("*/checkpoints/last.pt")))
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
        path, named = Path(run), self.root / "runs" / run
        if path.is_dir():
            return path
        if len(path.parts) == 1 and named.is_dir():
            return named
        near = get_close_matches(path.name, [folder.name for folder in self.runs()], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError("no such run", str(run), f"{hint}see `spectral-ssl list runs`, or give the run's folder")

    def runs(self) -> list[Path]:
        """List the run folders in name order, including those without a checkpoint."""
        return sorted(path.parent for path in (self.root / "runs").glob("*/config.toml"))


def _newest(paths: list[Path]) -> Path | None:
    """Return the path that was modified last, or None; among equal times the last in name order."""
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
