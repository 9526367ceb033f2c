"""``report``: write a run as one HTML file that opens from disk."""

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from data_prep.maps.reader import MapFile
from downstream.report.comparison import write_comparison
from downstream.report.evidence import gather
from downstream.report.page import NAME, is_report, write_report
from pretext.runs.origin import is_encoder
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import busy
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import RunArgument, choose_run
from spectral_ssl.planning.inputs.open_data import open_data
from spectral_ssl.verbs.probe import probe as probe_run

FEWEST_COMPARED, MOST_COMPARED = 2, 8


def report(
    run: str | Path | TrainedRun | None = None,
    *,
    encoder: str | Path | TrainedRun | None = None,
    data: str | Path | MapFile | None = None,
    compare: Sequence[str | Path | TrainedRun] = (),
    out: str | Path | None = None,
    probe: bool = False,
    open_it: bool = False,
    workspace: str | Path | None = None,
) -> Path:
    """Write everything about a run into one HTML file. This takes about a minute on one core.

    Parameters
    ----------
    run : path or TrainedRun, optional
        The run: its folder, its name in the workspace, or the loaded run; the latest one by
        default.
    encoder : str, path or TrainedRun, optional
        An encoder instead of a run: a name of ``list encoders``, its folder, or ``hf:OWNER/NAME``;
        ``universe-upright`` by default if the workspace has no run. Its report has no training.
    data : path, name or MapFile, optional
        The objects to show, a map file, a folder of your files or a data set. By default the data
        of the run; for an encoder the newest map file with its basis, else the built-in shapes.
    compare : sequence of paths or TrainedRuns
        Two to eight runs to compare, instead of one run.
    out : path, optional
        The file to write; ``RUN/report.html`` by default, ``RUN/comparison.html`` of the first run
        with ``compare``, ``WS/encoders/NAME/report.html`` of an encoder. An earlier report is
        replaced, any other file is refused.
    probe : bool
        Whether to probe runs first that were not probed since their last step (minutes).
    open_it : bool
        Whether to open the report in the browser.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When a run is missing or damaged, or another file has the name of the report.

    Examples
    --------
    >>> import spectral_ssl
    >>> spectral_ssl.report(run, out=folder / "report.html").name
    'report.html'
    """
    home = Workspace.find(workspace)
    runs = _load_runs(run, encoder, compare, home)
    maps = None
    if not compare and (data is not None or is_encoder(runs[0])):
        maps = open_data(data, runs[0], home)
    elif data is not None:
        raise UserError("--data with --compare", str(data), "leave it out: each run shows its own data")
    path = Path(out) if out else runs[0].folder / ("comparison.html" if compare else NAME)
    _refuse_other(path)
    if probe:
        for each in runs:
            evidence = gather(each, maps, full=False)
            if not any(evidence.is_current(result) for result in evidence.probes):
                probe_run(maps, run=each, report=False, workspace=home.root)
    with busy("report"):
        if compare:
            write_comparison(path, [gather(each) for each in runs])
        else:
            write_report(path, gather(runs[0], maps))
    if open_it:
        webbrowser.open(path.resolve().as_uri())
    return path


def _load_runs(
    run: RunArgument, encoder: RunArgument, compare: Sequence[str | Path | TrainedRun], home: Workspace
) -> list[TrainedRun]:
    """Load the run or the encoder to report on, or the runs to compare."""
    if not compare:
        return [choose_run(run, encoder, home)]
    if run is not None or encoder is not None:
        option, value = ("--run", run) if run is not None else ("--encoder", encoder)
        raise UserError(f"{option} with --compare", str(value), "name all runs after --compare")
    if not FEWEST_COMPARED <= len(compare) <= MOST_COMPARED:
        raise UserError("number of runs to compare", len(compare), f"give {FEWEST_COMPARED} to {MOST_COMPARED}")
    return [choose_run(each, None, home) for each in compare]


def _refuse_other(path: Path) -> None:
    """Raise a UserError if the file exists and is no report."""
    if path.is_dir():
        raise UserError("a folder in place of the report", str(path), "choose another --out")
    if path.exists() and not is_report(path):
        raise UserError("another file in place of the report", str(path), "choose another --out")
