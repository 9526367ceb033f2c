"""``study results``: compute the results of a study so far."""

import json
import shutil
from pathlib import Path
from typing import Any

from downstream.study.figure import draw_results
from downstream.study.folder import Study, find_study
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
    """Compute rates and scores of a study, as numbers, a figure and a page. The study may still be served.

    Parameters
    ----------
    study : path or Study, optional
        The study or its folder; the newest study of the workspace by default.
    note : str
        A line for readers, e.g. who took part. It is also on the figure and the page.
    into_runs : bool
        Whether to copy numbers and figure into the folders of the runs, as
        ``human-study-NAME.json`` and ``.png``.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    dict
        The content of ``results.json``, and its "path".

    Raises
    ------
    UserError
        When there is no such study, or it has no results yet.

    Examples
    --------
    >>> import spectral_ssl
    >>> study = spectral_ssl.create_study([run], trials=6, out=folder / "study")
    >>> spectral_ssl.study_results(study)  # nobody has taken part yet
    Traceback (most recent call last):
        ...
    spectral_ssl.ground.errors.UserError: no answers yet: got ...
    """
    opened = find_study(study, Workspace.find(workspace).root / "studies")
    results = {**gather(opened), "note": note, "environment": environment()}
    path = opened.folder / "results.json"
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    figure = path.with_suffix(".png")
    write_text(path, text)
    draw_results(figure, results)
    write_results_page(path.with_suffix(".html"), results, figure)
    if into_runs:
        name = f"human-study-{opened.folder.resolve().name}"
        for method in opened.methods:
            run = Path(method.run)
            if not run.is_dir():
                raise UserError("a compared run is gone", method.run, "leave out --into-runs")
            write_text(run / f"{name}.json", text)
            shutil.copyfile(figure, run / f"{name}.png")
    return {**results, "path": str(path)}
