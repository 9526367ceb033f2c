"""``pretrain --dry-run``: tell what ``pretrain`` would do and how long it would take, measured on a few steps."""

import math
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from data_prep.maps.reader import MapFile, open_maps
from pretext.data.training_split import TrainingData
from pretext.method import Method
from pretext.randomness import seeded_generator
from pretext.runs.folder import refuse_existing_run
from pretext.runs.plan import Plan
from pretext.runs.source_weights import load_source
from pretext.training.batch_step import BatchStep
from pretext.training.checkpoint import Progress, save_checkpoint
from pretext.training.checks import check_accumulation
from pretext.training.devices import choose_device, fit_device, move_to_device
from pretext.training.feature_statistics import FeatureMonitor
from pretext.training.precision import choose_precision
from pretext.training.trainer import learn_before_training
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import quiet
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.choose_maps import choose_maps
from spectral_ssl.planning.defaults import list_advice
from spectral_ssl.planning.new_run.init_from import find_given_weights
from spectral_ssl.planning.new_run.universe import (
    UNIVERSE,
    describe_data,
    find_reference,
    is_universe,
    open_training_data,
)
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.recipe import find_recipe_prep
from spectral_ssl.planning.run_plan import plan_run
from spectral_ssl.planning.run_start import build_new_network
from spectral_ssl.verbs.estimates.prep import estimate_prep

STEPS = 12
MOST_SECONDS = 15.0  # for the steps


@takes_options(PretrainOptions)
def estimate_pretrain(options: PretrainOptions) -> dict[str, Any]:
    """Tell what ``pretrain`` would do with the same arguments. Nothing is left behind.

    Returns
    -------
    dict
        ``prep``: the result of ``estimate_prep`` if the data is not prepared yet; nothing else can
        be known then. Else None, and ``method``, ``task``, ``advice`` (lines about the data),
        ``data``, ``init_from`` (the weights at the start), ``maps`` trained on (new shapes of an
        epoch with ``train.fresh``), ``trained_on`` (the same in words), ``parameters``, ``epochs``,
        ``batch_size``, ``steps``, ``measured`` (steps), ``seconds_each`` (median),
        ``seconds_before`` the first step, ``seconds_an_epoch`` of feature statistics and saving,
        ``seconds`` in all, ``stopped_by_limit`` (whether ``max_minutes`` ends the training before
        its last epoch), ``megabytes`` of a checkpoint.

    Raises
    ------
    UserError
        Where ``pretrain`` would refuse; and when a run is to be resumed.

    Examples
    --------
    >>> import spectral_ssl
    >>> estimate = spectral_ssl.estimate_pretrain(maps, method="regression", epochs=3)
    >>> estimate["maps"], estimate["epochs"], estimate["steps"]
    (48, 3, 3)
    """
    if options.resume is not None:
        raise UserError("--dry-run with --resume", str(options.resume), "leave one of them out")
    workspace = Workspace.find(options.workspace)
    choose_device(options.device)  # a device that this machine lacks is refused at once
    if options.out is not None:
        refuse_existing_run(Path(options.out), workspace.root / "runs")
    maps, prep_options = _find_existing_maps(options, workspace)
    if maps is None:
        return {"prep": estimate_prep(**vars(prep_options))}
    weights = find_given_weights(options, workspace)  # the plan is made for another workspace
    if weights is not None:
        options = replace(options, init_from=weights.source)
    with TemporaryDirectory(prefix="spectral-ssl-") as temporary, quiet():
        folder = Path(temporary)
        plan, maps = plan_run(options, Workspace(folder), maps)  # exports features of a run to the folder
        return {"prep": None, **_measure(_copy_features(plan, folder), maps, folder, workspace, options.device)}


def _find_existing_maps(options: PretrainOptions, workspace: Workspace) -> tuple[MapFile | None, PrepOptions]:
    """Open the maps to train on, or return None and the options with which ``prep`` would be called first."""
    prep_options = PrepOptions(workspace=workspace.root)
    if isinstance(options.data, MapFile):
        return options.data, prep_options
    if is_universe(options.data):
        path = find_reference(workspace)
        return open_maps(path) if path.exists() else None, PrepOptions(UNIVERSE, out=path, workspace=workspace.root)
    if options.data is not None:
        return open_maps(options.data), prep_options
    recipe_prep = find_recipe_prep(str(options.recipe), workspace) if options.recipe else None
    if recipe_prep is None:
        return choose_maps(workspace), prep_options
    path = Path(str(recipe_prep.out))
    return open_maps(path) if path.exists() else None, recipe_prep


def _copy_features(plan: Plan, folder: Path) -> Plan:
    """Copy the features of a plan, if it has any, to the folder: neighbours found in them are stored next to them."""
    config = plan.task_config
    if plan.task_entry.codes is None or not Path(config.features).is_file():
        return plan
    copy = folder / Path(config.features).name
    if not copy.exists():
        shutil.copyfile(config.features, copy)
    return replace(plan, task_config=replace(config, features=str(copy)))


def _measure(plan: Plan, maps: MapFile, folder: Path, workspace: Workspace, wanted: str) -> dict[str, Any]:
    """Measure a few steps, the feature statistics and a checkpoint; return the estimate of the whole training."""
    config, device = plan.train, choose_device(wanted)
    started = time.monotonic()
    source = load_source(plan)
    training = open_training_data(plan, maps, source.standardise if source is not None else None)
    network, _ = build_new_network(plan, training, workspace, source)
    check_accumulation(network, config.accumulate)
    steps_an_epoch = math.ceil(len(training) / config.batch_size)
    network.total_steps = config.epochs * steps_an_epoch
    if source is None:
        learn_before_training(network, training.reference, config.seed)
    device = fit_device(network, device, wanted)
    move_to_device(network, device)
    before = time.monotonic() - started
    torch.set_flush_denormal(True)  # as in training
    times = _step_times(network, plan, training, device)
    monitoring = 0.0
    if config.watch and config.epochs:
        monitor = FeatureMonitor(training.reference, plan.view, config.watch, seeded_generator(config.seed, "monitor"))
        # an upper bound: in short epochs features are measured less often than once an epoch
        with BatchStep(device=device).on_device():
            monitoring = _seconds(lambda: monitor.measure(network, 0, device))
    progress = asdict(Progress())
    saving = _seconds(lambda: save_checkpoint(folder, network, training.standardise, plan.to_toml(), progress))
    # the median without the first step, which warms up caches; the last batch of an epoch may be
    # smaller
    each = statistics.median(times[1:] or times)
    between = monitoring + saving / config.checkpoint_every
    seconds = before + config.epochs * (steps_an_epoch * each + between)
    limit = 60 * config.max_minutes
    return {
        "method": plan.method,
        "task": plan.task,
        "advice": list_advice(plan, maps),
        "data": str(maps.path),
        "init_from": plan.init_from,
        "maps": len(training),
        "trained_on": describe_data(training, maps),
        "parameters": sum(values.numel() for values in network.parameters() if values.requires_grad),
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "steps": config.epochs * steps_an_epoch,
        "measured": len(times),
        "seconds_each": round(each, 4),
        "seconds_before": round(before, 1),
        "seconds_an_epoch": round(between, 2),
        "seconds": round(min(seconds, limit) if limit else seconds, 1),
        "stopped_by_limit": bool(limit) and seconds > limit,
        "megabytes": round(sum(path.stat().st_size for path in folder.rglob("*.pt")) / 1e6, 1),
    }


def _step_times(network: Method, plan: Plan, training: TrainingData, device: torch.device) -> list[float]:
    """Measure the seconds of each of a few real steps."""
    batches = training.order(plan.train.seed, 0).split(plan.train.batch_size)
    precision, _ = choose_precision(plan.train.precision, device)
    batch_step = BatchStep(
        precision=precision, accumulate=plan.train.accumulate, mixes=plan.task_entry.mixes, device=device
    )
    times: list[float] = []
    for step in range(STEPS):

        def run(step: int = step) -> None:
            seeded = partial(seeded_generator, plan.train.seed, "step", step)
            batch_step.step(network, batch_step.parts(training, plan.corrupt, batches[step % len(batches)], seeded))

        times.append(_seconds(run))
        if sum(times) > MOST_SECONDS and len(times) > 1:
            break
    return times


def _seconds(work: Callable[[], object]) -> float:
    """Measure the seconds that a function takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started
