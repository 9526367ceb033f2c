"""``study create``: draw the samples of a human study from runs."""

import time
from collections.abc import Sequence
from pathlib import Path

from data_prep.maps.reader import MapFile
from downstream.study.design import KINDS, SHOWN_FOR, Kind, StudyConfig, check_methods
from downstream.study.folder import Study
from downstream.study.items import CONSENT_TEXT, make_study
from pretext.runs.evaluation import require_comparable, select_held_out_rows
from pretext.runs.folder import find_run_data
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.workspace import Workspace

MOST_ROWS = 1_000_000
FEWEST_CHECKS = 6  # a participant who guesses passes enough of them in one of nine cases


def create_study(
    runs: Sequence[str | Path | TrainedRun] = (),
    *,
    kind: Kind = "turing",
    real: str | Path | MapFile | None = None,
    trials: int = 60,
    checks: int | None = None,
    exposure: float | None = None,
    settings: Sequence[str] = (),
    consent: str | Path | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    workspace: str | Path | None = None,
) -> Study:
    """Collect real and generated images in a study folder.

    Parameters
    ----------
    runs : sequence of paths or TrainedRuns
        The runs to compare; the latest run by default. The task of the first run makes the inputs
        of all.
    kind : {"psychophysical", "turing", "realism"}
        The kind of study, see docs/human-studies.md.
    real : path or MapFile, optional
        The map file of the real data, whose test split is used; the first run's by default.
    trials : int
        The number of trials of each participant, without the attention checks.
    checks : int, optional
        The number of attention checks; by default one for ten trials, at least six.
    exposure : float, optional
        The seconds for which images are visible; as in the papers by default: 5, 1, 1.
    settings : sequence of str
        Texts ``key=value`` that override settings of the first run's task, e.g. ``share=0.25``.
    consent : path, optional
        A text file of what participants agree to; a built-in text by default.
    seed : int
        The seed of everything random.
    out : path, optional
        The folder to make; ``WS/studies/DATE-KIND`` by default.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    Study
        The study, in its new folder.

    Raises
    ------
    UserError
        When runs or data are missing or do not fit each other, or there are too few images.

    Examples
    --------
    >>> import spectral_ssl
    >>> study = spectral_ssl.create_study([run], trials=6, out=folder / "study")
    >>> study.config.trials
    6
    """
    if kind not in KINDS:
        raise unknown_name("kind of study", kind, KINDS)
    home = Workspace.find(workspace)
    config = StudyConfig(
        kind=kind,
        trials=trials,
        checks=max(FEWEST_CHECKS, round(trials / 10)) if checks is None else checks,
        exposure=SHOWN_FOR[kind] if exposure is None else exposure,
        seed=seed,
    )
    text = _consent(consent)
    check_methods(kind, len(runs) or 1)
    loaded = [each if isinstance(each, TrainedRun) else load_run(home.find_run(each)) for each in runs or (None,)]
    main = loaded[0].with_task_settings(settings)
    maps = find_run_data(real, main.plan, "--real")
    require_comparable(main, loaded[1:], maps)
    folder = Path(out) if out else home.root / "studies" / f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"
    return make_study(folder, config, [main, *loaded[1:]], maps, select_held_out_rows(maps, MOST_ROWS), text)


def _consent(path: str | Path | None) -> str:
    """Read the text that participants agree to."""
    if path is None:
        return CONSENT_TEXT
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("unreadable text", f"{path} ({error})", "give --consent a text file in UTF-8") from error
    if not text.strip():
        raise UserError("nothing to agree to", str(path), "write into it what participants must know")
    return text
