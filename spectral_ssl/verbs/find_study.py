"""Which study a verb is about."""

from pathlib import Path

from downstream.study.folder import DESCRIPTION, Study, open_study
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace


def find_study(study: str | Path | Study | None, place: Workspace) -> Study:
    """The study given, or the newest of the workspace.

    Raises
    ------
    UserError
        When there is none.
    """
    if isinstance(study, Study):
        return study
    if study is not None:
        return open_study(study)
    found = sorted((place.root / "studies").glob(f"*/{DESCRIPTION}"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        got = f"nothing in {place.root / 'studies'}"
        raise UserError("no study yet", got, "make one with `spectral-ssl study create` or give its folder")
    return open_study(found[-1].parent)
