"""Encoders on the Hugging Face hub, through the package ``huggingface_hub`` (extra ``hub``).

The package knows the address of the hub (``HF_ENDPOINT``), the token of the user (``HF_TOKEN``) and
the folder for downloads (``HF_HOME``).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pretext.pretrained.facts import FACTS
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import busy

HUB = "hf:"
FILES = ("weights.safetensors", FACTS, "CARD.md")
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def download_encoder(repository: str) -> Path:
    """Download the files of an encoder, those that are not there yet.

    Parameters
    ----------
    repository : str
        ``OWNER/NAME``.

    Returns
    -------
    Path
        The folder with the files, in the cache of ``huggingface_hub``.

    Raises
    ------
    UserError
        If the package is not installed, there is no such repository, or no network.
    """
    check_repository(repository)
    hub = _import_hub()
    try:
        with _report(hub, f"downloading {HUB}{repository}"):
            folder = Path(hub.snapshot_download(repository, allow_patterns=[*FILES]))
    except Exception as error:  # the package raises errors of a dozen types, its own and those of its transport
        raise _explain(error, repository) from error
    if not (folder / FACTS).is_file():
        raise UserError("a repository without an encoder", f"no {FACTS} in {HUB}{repository}", "give another name")
    return folder


def upload_encoder(folder: Path, repository: str, *, is_private: bool = False) -> str:
    """Send the folder of an encoder; the repository is made if it is missing.

    Parameters
    ----------
    folder : Path
        The folder of the encoder.
    repository : str
        ``OWNER/NAME``.
    is_private : bool
        Whether a new repository can be seen by its owner only.

    Returns
    -------
    str
        ``hf:OWNER/NAME``, as ``load_encoder`` takes it.

    Raises
    ------
    UserError
        If the package is not installed, the user may not write there, or there is no network.
    """
    check_repository(repository)
    hub = _import_hub()
    try:
        with _report(hub, f"uploading to {HUB}{repository}"):
            hub.create_repo(repository, private=is_private, exist_ok=True)
            message = "Save the encoder"
            hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=[*FILES], commit_message=message)
    except Exception as error:  # as in `download_encoder`
        raise _explain(error, repository) from error
    return f"{HUB}{repository}"


def check_repository(repository: str) -> None:
    """Raise a UserError unless a text is ``OWNER/NAME``."""
    if not isinstance(repository, str) or not REPOSITORY.fullmatch(repository):
        raise UserError("not the name of a repository", f"{repository!r:.100}", "give OWNER/NAME")


def _import_hub() -> Any:
    """Import ``huggingface_hub``.

    Raises
    ------
    UserError
        If it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.utils  # not an attribute of the package before it is imported
    except ImportError as error:
        what_to_do = "pip install 'spectral-ssl[hub]', or give the folder of an encoder"
        raise UserError(
            "the Hugging Face hub needs the package huggingface_hub", "not installed", what_to_do
        ) from error
    return huggingface_hub


@contextmanager
def _report(hub: Any, what: str) -> Iterator[None]:
    """Show progress as this project does, in place of the package's own bars."""
    was_disabled = hub.utils.are_progress_bars_disabled()
    hub.utils.disable_progress_bars()
    try:
        with busy(what):
            yield
    finally:
        if not was_disabled:
            hub.utils.enable_progress_bars()


def _explain(error: Exception, repository: str) -> UserError:
    """Make the error for the user from that of the package."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    name = f"{HUB}{repository}"
    if "RepositoryNotFoundError" in kinds or "RevisionNotFoundError" in kinds:
        return UserError("no such repository", name, "check the name; a private one needs HF_TOKEN")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return UserError(
            "no access to the repository", f"{name} (status {status})", "set HF_TOKEN, and check its rights"
        )
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    what_to_do = "check the network and HF_ENDPOINT, or give the folder of an encoder"
    return UserError("the Hugging Face hub cannot be reached", f"{name} ({reason})", what_to_do)
