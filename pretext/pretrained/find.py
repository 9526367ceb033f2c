"""Find the folder of an encoder: one that ships with the package, a folder, or a repository of the Hugging Face hub."""

from pathlib import Path

from pretext.pretrained.facts import FACTS
from pretext.pretrained.hub import HUB, download_encoder
from spectral_ssl.ground.errors import UserError, unknown_name

DEFAULT_ENCODER = "universe-upright"
# name -> a description of one line
SHIPPED = {
    "universe-upright": "shapes whose +z is up, trained on the shapes of the universe",
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
    if isinstance(encoder, str) and encoder in SHIPPED:
        return Path(__file__).parent / encoder
    if isinstance(encoder, str) and encoder.startswith(HUB):
        return download_encoder(encoder.removeprefix(HUB))
    folder = Path(encoder)
    if (folder / FACTS).is_file():
        return folder
    if (folder / "config.toml").is_file():
        raise UserError("a run, not an encoder", str(folder), "give it as --run, or save its encoder first")
    if folder.is_dir():
        raise UserError("a folder without an encoder", f"no {FACTS} in {folder}", "give the folder of an encoder")
    error = unknown_name("encoder", str(encoder), SHIPPED)
    raise UserError(error.what, error.got, f"{error.do}, or give a folder, or {HUB}OWNER/NAME")
