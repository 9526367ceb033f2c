"""Find an encoder by its name, without loading torch: those that ship with the package, and those of a workspace."""

from pathlib import Path

from pretext.pretrained.facts import FACTS
from pretext.pretrained.find import SHIPPED, require_name
from pretext.pretrained.hub import HUB
from spectral_ssl.ground.errors import UserError, find_near_name
from spectral_ssl.ground.files import expand_home
from spectral_ssl.ground.workspace import Workspace


def list_saved(workspace: Workspace) -> dict[str, Path]:
    """List the encoders that were saved in a workspace: name -> folder."""
    return {path.parent.name: path.parent for path in sorted((workspace.root / "encoders").glob(f"*/{FACTS}"))}


def find_encoder(encoder: str | Path, workspace: Workspace) -> str | Path:
    """Find the encoder that an argument means.

    Parameters
    ----------
    encoder : str or path
        The name of an encoder that ships with the package or was saved in the workspace, the folder
        of an encoder, or ``hf:OWNER/NAME``.
    workspace : Workspace
        The workspace.

    Returns
    -------
    str or Path
        What ``spectral_ssl.load`` takes.

    Raises
    ------
    UserError
        When there is no such encoder; the nearest name is suggested.
    """
    require_name("encoder", encoder)
    name, saved = str(encoder), list_saved(workspace)
    if name.startswith(HUB) or name in SHIPPED:
        return name
    path = expand_home(name)
    if not path.is_dir() and name in saved:
        return saved[name]
    is_run = (path / "config.toml").is_file() or name in {run.name for run in workspace.runs()}
    if is_run and not (path / FACTS).is_file():
        raise UserError("a run, not an encoder", name, f"write --run {name}")
    if path.is_dir():
        return path
    known = [*SHIPPED, *saved]
    near = find_near_name(path.name, known)
    hint = f"did you mean {near!r}? " if near else ""
    do = f"{hint}choose one of: {', '.join(known)}; or give the folder of an encoder, or {HUB}OWNER/NAME"
    raise UserError("unknown encoder", repr(name), do)
