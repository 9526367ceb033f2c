"""Where things lie: the workspace folder with its raw data, maps, runs and features."""

import os
import time
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True)
class Workspace:
    """The folder under which every default path lies.

    Attributes
    ----------
    root : Path
        The folder; made when something is first written.
    """

    root: Path

    @staticmethod
    def find(given: str | Path | None = None) -> "Workspace":
        """``given``, else ``$SPECTRAL_SSL_HOME``, else ``./workspace``."""
        root = given or os.environ.get("SPECTRAL_SSL_HOME") or "workspace"
        return Workspace(Path(root).expanduser())

    def raw(self, dataset: str) -> Path:
        """Where a dataset's raw files are looked for."""
        return self.root / "raw" / dataset

    def maps(self, dataset: str, basis: str) -> Path:
        """Where ``prep`` writes by default."""
        return self.root / "maps" / f"{dataset}-{basis}.h5"

    def features(self, run: str, data: str) -> Path:
        """Where ``export`` writes by default."""
        return self.root / "features" / f"{run}-{data}.h5"

    def newest_maps(self) -> Path | None:
        """The map file written last, or None."""
        return _newest(sorted((self.root / "maps").glob("*.h5")))

    def new_run(self, method: str, task: str) -> Path:
        """A path for a run folder that does not exist yet, named by the time, the method and the task."""
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{method}-{task}"
        path = self.root / "runs" / stem
        number = 2
        while path.exists():
            path = self.root / "runs" / f"{stem}-{number}"
            number += 1
        return path

    def latest_run(self) -> Path:
        """The run folder with the newest checkpoint; folders of trainings that ended before one are passed over.

        Raises
        ------
        UserError
            When there is none.
        """
        newest = _newest(sorted((self.root / "runs").glob("*/checkpoints/last.pt")))
        if newest is None:
            raise UserError(
                "no run yet", f"nothing in {self.root / 'runs'}", "run `spectral-ssl pretrain` first or give --run"
            )
        return newest.parent.parent

    def find_run(self, given: str | Path | None = None) -> Path:
        """A run folder by its path, or by its name in this workspace; the latest run when nothing is given.

        Raises
        ------
        UserError
            When there is none.
        """
        if given is None:
            return self.latest_run()
        path, named = Path(given), self.root / "runs" / given
        if path.is_dir():
            return path
        if len(path.parts) == 1 and named.is_dir():
            return named
        near = get_close_matches(path.name, [run.name for run in self.runs()], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError("no such run", str(given), f"{hint}see `spectral-ssl list runs`, or give the run's folder")

    def runs(self) -> list[Path]:
        """The run folders in name order, those without a checkpoint too."""
        return sorted(path.parent for path in (self.root / "runs").glob("*/config.toml"))


def _newest(paths: list[Path]) -> Path | None:
    """The path modified last; of several at the same instant the last in name order."""
    return max(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)
