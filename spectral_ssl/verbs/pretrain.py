"""``pretrain``: train a pretext task on a map file."""

import shlex
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.maps.reader import MapFile
from downstream.figures.run import draw_run
from downstream.figures.training_curves import draw_losses
from downstream.probes.protocol.quick_score import compute_quick_score
from downstream.report.evidence import Predictions
from downstream.report.page import NAME as REPORT
from downstream.report.page import write_short_report
from pretext.runs.evaluation import describe_rows, select_held_out_rows
from pretext.runs.source_weights import load_weights
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.runs.whitening import can_whiten, sample_universe_maps
from pretext.runs.whitening_file import write_whitening
from pretext.training.devices import choose_device, fit_device
from pretext.training.distributed import join_processes
from pretext.training.trainer import Trainer
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.ground.workspace import Workspace, write_option
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_start import RunStart, join_run, prepare_run

SAMPLES = 6
MODES = 3


@takes_options(PretrainOptions)
def pretrain(options: PretrainOptions) -> TrainedRun:
    """Train a method on a task, in all processes that a launcher started for it (docs/scaling.md).

    Returns
    -------
    TrainedRun
        The trained run.

    Raises
    ------
    UserError
        When data or settings are invalid, or the loss becomes infinite.

    Examples
    --------
    >>> import spectral_ssl
    >>> settings = ("width=4", "code=8")
    >>> run = spectral_ssl.pretrain(maps, method="regression", epochs=1, settings=settings, report=False)
    >>> run.encode(maps).shape
    (64, 128)
    """
    return train(options)


def train(options: PretrainOptions, *, names_next: bool = True) -> TrainedRun:
    """Train as ``pretrain`` does.

    Parameters
    ----------
    options : PretrainOptions
        The options of ``pretrain``.
    names_next : bool
        Whether to say which command comes next; a caller that does it itself need not say it.

    Returns
    -------
    TrainedRun
        The trained run.
    """
    workspace = Workspace.find(options.workspace)
    options.check_resume()
    device = choose_device(options.device)
    # the main process holds the run's lock until the training has ended
    with join_processes(device) as processes, ExitStack() as locks:
        prepared: list[RunStart] = []

        def prepare() -> tuple[str, str, dict[str, Any] | None]:
            start = prepare_run(options, workspace, locks)
            prepared.append(start)
            return str(start.folder), start.plan.to_toml(), start.progress

        sent = processes.run_on_main(prepare)
        start = prepared[0] if prepared else join_run(*sent)
        Trainer(
            start.network,
            start.plan.corrupt_training,
            start.plan.view,
            start.training,
            start.plan.train,
            start.folder,
            start.plan.to_toml(),
            start.progress,
            has_weights=bool(start.plan.init_from),
            mixes=start.plan.task_entry.mixes,
            processes=processes,
            device=fit_device(start.network, device, options.device),
            precision_source=start.precision_source,
        ).run()
        # after the last checkpoint is written, and before any process loads the run
        processes.run_on_main(lambda: _whiten_as_source(start.folder, start.plan.init_from))
        run = load_run(start.folder)
        if not processes.is_main:
            return run
        with busy("figures, score and report"):
            _finish(run, start.maps, options.report)
        if names_next:
            _say_next(run, start.maps, write_option(options.workspace))
        return run


def _finish(run: TrainedRun, maps: MapFile, report: bool) -> None:
    """Draw the losses and a few predictions of a trained run, and score it."""
    folder = run.folder
    untrained = run.method.describe_untrained(run.checkpoint["place"]["step"])
    if untrained:
        say(untrained)
    predictions = None
    if run.method.has_completions:
        rows = select_held_out_rows(maps, SAMPLES)
        example, completions = run.complete(maps, rows, MODES)
        ids = [maps.ids[row] for row in rows]
        draw_run(folder / "samples", "answers", run, example, completions, ids, shapes=0)  # `complete` draws shapes
        predictions = Predictions(example, completions, ids, describe_rows(maps, rows))
    metrics = read_metrics(folder / "metrics.jsonl")
    if metrics:
        draw_losses(folder / "samples" / "losses.png", metrics)
    if report:
        score = compute_quick_score(run, maps) if run.checkpoint["place"]["step"] else None
        write_short_report(run, maps, predictions)
        if score is not None:
            say(score.write())
            say("`spectral-ssl probe` fits classifiers to the training split or to folds, so its scores differ")
        if (folder / REPORT).is_file():
            say(f"report: {folder / REPORT}")


def _whiten_as_source(folder: Path, weights: str) -> None:
    """Whiten the features of a run if it started from weights whose features are whitened, and keep that with it.

    The whitening of the source does not fit the new weights, and one that is fitted to a few objects
    of one's own would blow up noise (docs/experiments.md).
    """
    if not weights:
        return
    try:
        run = load_run(folder)
        # A run that ended before and was resumed for nothing more has a whitening that fits it.
        if run.whitening is not None or not can_whiten(run.basis):
            return
        # Only the number of components matters, so a later version of the weights serves as well.
        source = load_weights(weights)
        if source.whitening is None:
            return
        with busy("whitening the features on shapes of the universe"):
            whitened = run.whiten(sample_universe_maps(run.basis), source.whitening.matrix.shape[1])
    except UserError as error:  # the training is done, so its features are used as they are
        say(f"the features are not whitened: {error}")
        return
    assert whitened.whitening is not None
    write_whitening(folder, whitened.whitening, run.checkpoint_digest)


def _say_next(run: TrainedRun, maps: MapFile, workspace: str) -> None:
    """Say whether the time limit ended the training, and which command comes next (it ends with ``workspace``)."""
    name, train = shlex.quote(str(run.folder)), run.plan.train
    place = run.checkpoint["place"]
    if maps.basis.kind == "pixels" or run.plan.task == "complete-shape":
        with suppress(UserError):  # a method without completions
            run.require_completions()
            say(f"predictions: spectral-ssl complete --run {name}{workspace}; their scores: `evaluate` with the same")
    if place["epoch"] < train.epochs:
        done = f"step {place['step']}, with {place['epoch']} of {train.epochs} epochs complete"
        say(
            f"the time limit of {train.max_minutes:g} min ended the training at {done}; "
            f"go on: spectral-ssl pretrain --resume {name}{workspace}"
        )
    has_labels = len(np.unique(maps.labels[maps.labels >= 0])) > 1
    say(f"next: spectral-ssl {'probe' if has_labels else 'export'} --run {name}{workspace}")
