"""``runs rm``: remove runs of the workspace, and nothing else."""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import is_locked, read_status
from spectral_ssl.ground.workspace import Workspace


def remove_run(run: str | Path, *, workspace: str | Path | None = None) -> Path:
    """Remove a run folder of the workspace with all that is in it; links in it are removed, not followed.

    Parameters
    ----------
    run : path or str
        A run folder, or its name in the workspace.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        Where it was.

    Raises
    ------
    UserError
        When it is no run, lies elsewhere or is a link, or is being trained right now.
    """
    folder = removable_run(run, workspace=workspace)
    # moved out of sight first: what a kill leaves behind is not taken for a run
    grave = Path(mkdtemp(prefix=".removed-", dir=folder.parent.parent))
    folder.rename(grave / folder.name)
    shutil.rmtree(grave)
    return folder


def removable_run(run: str | Path, *, workspace: str | Path | None = None) -> Path:
    """The folder that ``remove_run`` would remove.

    Raises
    ------
    UserError
        As ``remove_run``.
    """
    place = Workspace.find(workspace)
    folder = place.find_run(run)
    runs = place.root / "runs"
    if folder.is_symlink() or runs.is_symlink():
        raise UserError("a link, not a run folder", str(folder), "remove the link by hand, and what it leads to")
    if folder.resolve().parent != runs.resolve():
        raise UserError("not a run of this workspace", f"{folder}, not in {runs}", "remove it by hand")
    if not (folder / "config.toml").is_file():
        raise UserError("not a run folder", f"no config.toml in {folder}", "remove it by hand if it is to go")
    if read_status(folder)["state"] == "running" or is_locked(folder):
        what_to_do = "stop it first (Ctrl-C); if it is not being trained any more, remove the folder by hand"
        raise UserError("a run under way", str(folder), what_to_do)
    return folder
