"""``runs rm``: remove runs of the workspace."""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import is_locked, lock_run, read_status
from spectral_ssl.ground.workspace import Workspace


def remove_run(run: str | Path, *, workspace: str | Path | None = None) -> Path:
    """Remove a run folder of the workspace and its content. Links in it are removed, not followed.

    Parameters
    ----------
    run : path or str
        The run folder, or its name in the workspace.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    Path
        The folder that was removed.

    Raises
    ------
    UserError
        When it is no run, is outside the workspace, is a link, or is in training.

    Examples
    --------
    >>> import spectral_ssl
    >>> second = spectral_ssl.pretrain(
    ...     maps, method="regression", epochs=0, settings=("width=2", "code=8"), report=False
    ... )

    >>> spectral_ssl.remove_run(second.folder) == second.folder
    True
    >>> second.folder.exists()
    False
    """
    folder = removable_run(run, workspace=workspace)
    with lock_run(folder):  # nobody resumes it in the meantime
        # moved first: after a kill, the rest is not taken for a run
        trash = Path(mkdtemp(prefix=".removed-", dir=folder.parent.parent))
        folder.rename(trash / folder.name)
    shutil.rmtree(trash)
    return folder


def removable_run(run: str | Path, *, workspace: str | Path | None = None) -> Path:
    """Return the folder that ``remove_run`` would remove.

    Raises
    ------
    UserError
        In the same cases as ``remove_run``.
    """
    home = Workspace.find(workspace)
    folder = home.find_run(run)
    runs = home.root / "runs"
    if folder.is_symlink() or runs.is_symlink():
        raise UserError("a link, not a run folder", str(folder), "remove the link and its target by hand")
    if folder.resolve().parent != runs.resolve():
        raise UserError("not a run of this workspace", f"{folder}, not in {runs}", "remove it by hand")
    if not (folder / "config.toml").is_file():
        raise UserError("not a run folder", f"no config.toml in {folder}", "remove it by hand if you do not need it")
    if read_status(folder)["state"] == "running" or is_locked(folder):
        what_to_do = "stop it first (Ctrl-C); if no process trains it, remove the folder by hand"
        raise UserError("a run in training", str(folder), what_to_do)
    return folder
