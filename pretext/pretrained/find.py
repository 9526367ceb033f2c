"""Find the folder of an encoder: one that ships with the package, a folder, or a repository of the Hugging Face hub."""

from pathlib import Path

from pretext.pretrained.facts import FACTS
from pretext.pretrained.hub import HUB, download_encoder
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import expand_home

DEFAULT_ENCODER = "universe-upright"
# name -> a description of one line
SHIPPED = {
    "universe-upright": "shapes whose +z is up, trained on the shapes of the universe",
    "universe-any-turn": "shapes whose +z is up, turned about it by any angle, trained on the shapes of the universe",
    "universe-any-pose": "shapes in any pose, trained on the shapes of the universe",
}


def find_encoder(encoder: str | Path) -> Path:
    """Find the folder of an encoder.

    Parameters
    ----------
    encoder : str or Path
        A name of ``SHIPPED``, a folder, or ``hf:OWNER/NAME`` for a repository of the Hugging Face
        hub, which is downloaded.

    Returns
    -------
    Path
        The folder; it has an ``encoder.json``.

    Raises
    ------
    UserError
        If there is no such encoder, or the repository cannot be downloaded.
    """
    require_name("encoder", encoder)
    name = str(encoder)
    try:
        folder = expand_home(name)
        is_there = folder.exists()
    except (OSError, RuntimeError) as fault:  # a name that is too long, or ~ of no user
        raise UserError("unknown encoder", f"{name!r:.80}", f"give a name, a folder, or {HUB}OWNER/NAME") from fault
    if name in SHIPPED and (isinstance(encoder, str) or not is_there):
        return Path(__file__).parent / name
    if name.startswith(HUB):
        return download_encoder(name.removeprefix(HUB))
    if (folder / FACTS).is_file():
        return folder
    if (folder / "config.toml").is_file():
        raise UserError("a run, not an encoder", str(folder), "give it as --run, or save its encoder first")
    if folder.is_dir():
        raise UserError("a folder without an encoder", f"no {FACTS} in {folder}", "give the folder of an encoder")
    error = unknown_name("encoder", name, SHIPPED)
    raise UserError(error.what, error.got, f"{error.do}, or give a folder, or {HUB}OWNER/NAME")


def require_name(kind: str, given: object) -> None:
    """Raise a UserError unless a value is a text or a path, and not an empty text, which would be the present folder.

    Parameters
    ----------
    kind : str
        What the value stands for, e.g. "encoder".
    given : object
        The value.
    """
    do = f"give a name, a folder, or {HUB}OWNER/NAME"
    if not isinstance(given, str | Path):
        raise UserError(f"{kind} of the wrong type", f"{given!r:.80} ({type(given).__name__})", do)
    if not str(given).strip():
        raise UserError(f"no name of the {kind}", "an empty text", do)
