"""The short report that ``pretrain`` and ``probe`` leave in the run's folder."""

from data_prep.map_store import MapFile
from downstream.report.evidence import Answered, gather
from downstream.report.page import NAME, is_whole_report, write_report
from pretext.runs import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say


def leave_report(run: TrainedRun, maps: MapFile | None = None, answered: Answered | None = None) -> None:
    """Write what lies in the run's folder as ``report.html``, and nothing that takes long.

    A whole report of the same checkpoint is kept, for it shows more.

    Parameters
    ----------
    run : TrainedRun
    maps : MapFile, optional
        The data it was trained on; looked for by default.
    answered : Answered, optional
        Answers that are known already.
    """
    path = run.folder / NAME
    if is_whole_report(path, run.checkpoint_digest):
        say(f"{path} is kept as it is; `spectral-ssl report --run {run.folder}` brings it up to date")
        return
    try:
        write_report(path, gather(run, maps, whole=False, answered=answered))
    except (UserError, OSError) as error:
        say(f"no report: {error}")  # what was trained or measured is safe, and worth more
