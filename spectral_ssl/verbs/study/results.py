"""``study results``: what came out of a study so far."""

import json
import shutil
from pathlib import Path
from typing import Any

from downstream.study.figure import draw_results
from downstream.study.folder import DESCRIPTION, Study, open_study
from downstream.study.results import study_results as gather
from downstream.study.results_page import write_results_page
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.workspace import Workspace


def study_results(
    study: str | Path | Study | None = None,
    *,
    note: str = "",
    into_runs: bool = False,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Rates and scores of a study, as numbers, a picture and a page; it may still be served meanwhile.

    Parameters
    ----------
    study : path or Study, optional
        Its folder; the newest of the workspace by default.
    note : str
        What readers shall know, e.g. who took part; on the picture and the page too.
    into_runs : bool
        Whether to put numbers and picture into the folders of the runs too, as ``human-study-NAME.json`` and ``.png``.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    dict
        What ``results.json`` holds, and its "path".

    Raises
    ------
    UserError
        When there is no such study, or no answers.
    """
    found = find_study(study, Workspace.find(workspace))
    results = {**gather(found), "note": note, "environment": environment()}
    path = found.folder / "results.json"
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    picture = path.with_suffix(".png")
    write_text(path, text)
    draw_results(picture, results)
    write_results_page(path.with_suffix(".html"), results, picture)
    if into_runs:
        name = f"human-study-{found.folder.resolve().name}"
        for method in found.methods:
            run = Path(method.run)
            if not run.is_dir():
                raise UserError("a compared run is gone", method.run, "leave out --into-runs")
            write_text(run / f"{name}.json", text)
            shutil.copyfile(picture, run / f"{name}.png")
    return {**results, "path": str(path)}


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
