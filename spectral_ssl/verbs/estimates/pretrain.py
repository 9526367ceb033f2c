"""``pretrain --dry-run``: what would be done, and how long it would take, measured on a few steps."""

import math
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from data_prep.maps.reader import MapFile, open_maps
from pretext.data.training_split import TrainingMaps
from pretext.method import LearnsFirst, Method
from pretext.runs.trained_run import Plan
from pretext.tasks.codes.from_code import FromCodeConfig
from pretext.training.batch_step import BatchStep
from pretext.training.checkpoint import save_checkpoint
from pretext.training.checks import check_accumulation
from pretext.training.devices import choose_device
from pretext.training.feature_statistics import FeatureWatch
from pretext.training.precision import choose_precision
from pretext.training.trainer import SHOWN_FIRST, Place, seeded_generator
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.progress import quiet
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.run_plan import plan_run, recipe_maps_at
from spectral_ssl.verbs.estimates.prep import estimate_prep
from spectral_ssl.verbs.pretrain import fresh_network, training_maps

STEPS = 12
MOST_SECONDS = 15.0  # of steps


def estimate_pretrain(
    data: str | Path | MapFile | None = None,
    *,
    method: str | None = None,
    task: str | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    max_minutes: float | None = None,
    seed: int | None = None,
    variant: str | None = None,
    features: str | Path | None = None,
    precision: str | None = None,
    compile: bool | None = None,  # noqa: A002 - as torch and the setting call it
    settings: Sequence[str] = (),
    out: str | Path | None = None,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """What ``pretrain`` would do with the same arguments; nothing is left behind.

    Parameters
    ----------
    data, method, task, recipe, epochs, max_minutes, seed, variant, features : optional
        As for ``pretrain``.
    precision, compile, settings, out, workspace : optional
        As for ``pretrain``.

    Returns
    -------
    dict
        ``prep``: what ``estimate_prep`` says of the data where it is not prepared yet, and then nothing else can be
        known; else None, and ``method``, ``task``, ``data``, ``maps`` trained on, ``parameters``, ``epochs``,
        ``batch_size``, ``steps``, ``measured`` (steps), ``seconds_each`` (median), ``seconds_before`` the first step,
        ``seconds_an_epoch`` of watching and saving, ``seconds`` in all, ``stopped_by_limit`` (whether ``max_minutes``
        ends it before), ``megabytes`` of a checkpoint.

    Raises
    ------
    UserError
        Where ``pretrain`` would refuse.
    """
    place = Workspace.find(workspace)
    if out is not None:
        refuse_existing(Path(out), overwrite=False)
    maps, wanted = _maps_at_hand(data, recipe, place)
    if maps is None:
        return {"prep": estimate_prep(**wanted, workspace=place.root)}
    short = {
        "epochs": epochs, "max_minutes": max_minutes, "seed": seed, "precision": precision, "compile": compile,
    }  # fmt: skip
    with TemporaryDirectory(prefix="spectral-ssl-") as temporary, quiet():
        plan, maps = plan_run(
            maps,
            method=method,
            task=task,
            recipe=recipe,
            given={key: value for key, value in short.items() if value is not None},
            settings=settings if variant is None else (*settings, f"method.variant={variant}"),
            features=features,
            place=Workspace(Path(temporary)),  # features of a run are exported there
        )
        return {"prep": None, **_measure(_own_codes(plan, Path(temporary)), maps, Path(temporary), place)}


def _maps_at_hand(
    data: str | Path | MapFile | None, recipe: str | None, place: Workspace
) -> tuple[MapFile | None, dict[str, Any]]:
    """The maps that would be trained on; or None, and the arguments with which ``prep`` would be called first."""
    if isinstance(data, MapFile):
        return data, {}
    if data is not None:
        return open_maps(data), {}
    path, wanted = recipe_maps_at(recipe, place) if recipe else (None, {})
    if path is None:
        path = place.newest_maps()
    return (open_maps(path), {}) if path is not None and path.exists() else (None, wanted)


def _own_codes(plan: Plan, folder: Path) -> Plan:
    """A plan whose features, if it has any, lie in the folder: what is mined in them is kept beside them."""
    config = plan.task_config
    if not isinstance(config, FromCodeConfig) or not Path(config.features).is_file():
        return plan
    copy = folder / Path(config.features).name
    if not copy.exists():
        shutil.copyfile(config.features, copy)
    return replace(plan, task_config=replace(config, features=str(copy)))


def _measure(plan: Plan, maps: MapFile, folder: Path, place: Workspace) -> dict[str, Any]:
    config = plan.train
    started = time.monotonic()
    training = training_maps(maps, plan)
    network, _ = fresh_network(plan, training, place)
    check_accumulation(network, config.accumulate)
    steps_an_epoch = math.ceil(len(training) / config.batch_size)
    network.total_steps = config.epochs * steps_an_epoch
    if isinstance(network, LearnsFirst):
        generator = seeded_generator(config.seed, "first")
        shown = torch.randperm(len(training), generator=generator)[:SHOWN_FIRST]
        network.learn_first(training.batch(shown).maps, generator)
    before = time.monotonic() - started
    torch.set_flush_denormal(True)  # as in training
    times = _step_times(network, plan, training)
    watching = 0.0
    if config.watch and config.epochs:
        generator = seeded_generator(config.seed, "watched features")
        watch = FeatureWatch(training, plan.view, config.watch, generator)
        # in short epochs features are watched less often than once an epoch
        watching = _seconds(lambda: watch.measure(network, 0))
    saving = _seconds(lambda: save_checkpoint(folder, network, training.standardise, plan.to_toml(), asdict(Place())))
    # the first step warms caches up and the last batch of an epoch may be smaller: the median of the others
    each = statistics.median(times[1:] or times)
    between = watching + saving / config.checkpoint_every
    seconds = before + config.epochs * (steps_an_epoch * each + between)
    limit = 60 * config.max_minutes
    return {
        "method": plan.method,
        "task": plan.task,
        "data": str(maps.path),
        "maps": len(training),
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


def _step_times(network: Method, plan: Plan, training: TrainingMaps) -> list[float]:
    """Seconds of each of a few real steps."""
    order = torch.randperm(len(training), generator=seeded_generator(plan.train.seed, "order", 0))
    batches = order.split(plan.train.batch_size)
    products, _ = choose_precision(plan.train.precision, choose_device())
    how = BatchStep(products=products, accumulate=plan.train.accumulate, mixes=plan.task_entry.mixes)
    times: list[float] = []
    for step in range(STEPS):

        def one(step: int = step) -> None:
            seeded = partial(seeded_generator, plan.train.seed, "step", step)
            how.step(network, how.parts(training, plan.corrupt, batches[step % len(batches)], seeded))

        times.append(_seconds(one))
        if sum(times) > MOST_SECONDS and len(times) > 1:
            break
    return times


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started
