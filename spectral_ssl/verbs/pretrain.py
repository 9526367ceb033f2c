"""``pretrain``: train a pretext task on a map file."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.maps.reader import MapFile, open_maps
from downstream.figures.predictions import draw_losses
from downstream.figures.run import draw_run
from downstream.report.evidence import Answered
from downstream.report.page import leave_report
from pretext.data.training_split import TrainingMaps
from pretext.method import Method
from pretext.methods.cgml.model import CGMLConfig
from pretext.methods.lsc_gan.model import LSCGAN
from pretext.runs.reuse_predictor import take_known_predictor
from pretext.runs.trained_run import (
    FOLDER_EXISTS,
    Plan,
    TrainedRun,
    describe_run,
    held_out_rows,
    load_run,
    read_plan,
    run_under_way,
    start_run,
)
from pretext.tasks.codes.from_code import FromCodeConfig
from pretext.tasks.codes.neighbour_pairs import CodedMaps
from pretext.training.checkpoint import put_aside_damaged
from pretext.training.checks import check_accumulation
from pretext.training.devices import choose_device
from pretext.training.distributed import together
from pretext.training.trainer import TrainConfig, train
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.run_folder import drop_metrics_after, held_run, read_metrics
from spectral_ssl.ground.terminal import restarts
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.run_plan import find_maps, plan_run

SAMPLES = 6
MODES = 3


def pretrain(
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
    device: str = "cpu",
    settings: Sequence[str] = (),
    resume: str | Path | None = None,
    out: str | Path | None = None,
    report: bool = True,
    workspace: str | Path | None = None,
) -> TrainedRun:
    """Train a method on a task, in all processes that a launcher started for it (docs/scaling.md).

    Parameters
    ----------
    data : path or MapFile, optional
        The map file. By default the data set the recipe names (prepared where it is not yet), else the workspace's
        newest map file, and the built-in shapes where there is none.
    method, task : str, optional
        See ``spectral-ssl list``. By default "joint-embedding" and "views" where the map file has clouds, as those of
        shapes do, else "cgml" and the method's own task, mostly "denoise".
    recipe : str, optional
        A recipe's name or a TOML file; what else is given goes before it.
    epochs, max_minutes, seed : optional
        Short for the settings of the same names.
    variant : str, optional
        Of mr-gan, short for the setting of that name.
    features : path or str, optional
        Of the task from-code: a feature file, a run (its features are exported first), "labels" or "none".
    precision, compile : optional
        Short for the settings of the same names in the section train.
    device : {"cpu", "auto", "cuda", "mps"}
        Where the network is trained; "auto" is a GPU if there is one.
    settings : sequence of str
        "key=value" or "section.key=value", sections train, method and task.
    resume : path, optional
        Go on with this run exactly where it stopped; only ``data``, ``epochs``, ``max_minutes`` and ``device`` may be
        given along, and there may be more or fewer processes than before.
        More epochs than before lengthen learning rates that fall over the training: such a run is then not the one that
        was to take so many epochs from the start.
    out : path, optional
        The run folder; ``WS/runs/DATE-METHOD-TASK`` by default. It must not exist.
    report : bool
        Whether to leave a short ``report.html`` in it.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    TrainedRun

    Raises
    ------
    UserError
        When data or settings are not as they should be, or the loss becomes infinite.
    """
    place = Workspace.find(workspace)
    settings = settings if variant is None else (*settings, f"method.variant={variant}")
    short = {
        "epochs": epochs, "max_minutes": max_minutes, "seed": seed, "precision": precision, "compile": compile,
    }  # fmt: skip
    given = {key: value for key, value in short.items() if value is not None}
    others = (method, task, recipe, settings, out, features, *(given.get(key) for key in ("precision", "compile")))
    if resume is not None and (any(others) or seed is not None):
        raise UserError("a resumed run keeps its settings", "other options with --resume", "leave them out")

    def prepare() -> _Prepared:
        if resume is not None:
            return _prepare_resumed(place.find_run(resume), data, given, place, held)
        return _prepare(data, method, task, recipe, features, given, settings, out, place, held)

    # the first process holds the run's lock until the training has ended
    with together(chosen := choose_device(device)) as processes, ExitStack() as held:
        made: list[_Prepared] = []

        def by_first() -> tuple[str, str, dict[str, Any] | None]:
            made.append(prepare())
            return str(made[0].folder), made[0].plan.to_toml(), made[0].at

        found = processes.by_first(by_first)
        ready = made[0] if made else _prepared_by_another(*found)
        train(
            ready.network,
            ready.plan.corrupt,
            ready.plan.view,
            ready.training,
            ready.plan.train,
            ready.folder,
            ready.plan.to_toml(),
            ready.at,
            mixes=ready.plan.task_entry.mixes,
            processes=processes,
            device=chosen,
        )
        processes.by_first(lambda: None)  # the last checkpoint is written
        return _finish(ready.folder, ready.maps, report) if processes.first else load_run(ready.folder)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """All that a training begins with; ``at`` is the place to go on from, None for the beginning."""

    folder: Path
    plan: Plan
    maps: MapFile
    training: TrainingMaps
    network: Method
    at: dict[str, Any] | None


def _prepared_by_another(folder: str, plan_text: str, at: dict[str, Any] | None) -> _Prepared:
    """What the first process prepared, made here too; its parameters follow when the training begins."""
    plan = Plan.from_toml(plan_text)
    maps = open_maps(plan.data)
    training = training_maps(maps, plan)
    network = build_network(plan, training) if at is None else load_run(folder).method
    return _Prepared(folder=Path(folder), plan=plan, maps=maps, training=training, network=network, at=at)


def _prepare(
    data: str | Path | MapFile | None,
    method: str | None,
    task: str | None,
    recipe: str | None,
    features: str | Path | None,
    given: dict[str, Any],
    settings: Sequence[str],
    out: str | Path | None,
    place: Workspace,
    held: ExitStack,
) -> _Prepared:
    """A new run, its folder made; or, where a launcher has started the processes again, the run as far as it was."""
    if out is not None and not restarts():
        refuse_existing(Path(out), overwrite=False)
    plan, maps = plan_run(
        data, method=method, task=task, recipe=recipe, given=given, settings=settings, features=features, place=place
    )
    if restarts():
        begun = run_under_way(plan, [Path(out)] if out else sorted((place.root / "runs").glob("*"), reverse=True))
        if begun is not None:
            return _prepare_resumed(begun, maps, {}, place, held)
    training = training_maps(maps, plan)
    network, known = fresh_network(plan, training, place)
    check_accumulation(network, plan.train.accumulate)  # before there is a folder
    folder = _new_folder(out, plan, place)
    held.enter_context(held_run(folder))
    if known is not None:
        say(f"the predictor is that of {known}")
    say(f"training {plan.method} on {plan.task}: {len(training)} maps of {maps.path}, in {folder}")
    return _Prepared(folder=folder, plan=plan, maps=maps, training=training, network=network, at=None)


def _new_folder(out: str | Path | None, plan: Plan, place: Workspace) -> Path:
    """The new run folder; where its name is free to choose, one that no other process has taken meanwhile."""
    if out:
        start_run(Path(out), plan)
        return Path(out)
    while True:
        folder = place.new_run(plan.method, plan.task)
        try:
            start_run(folder, plan)
        except UserError as error:
            if error.what != FOLDER_EXISTS:
                raise
            continue
        return folder


def fresh_network(plan: Plan, training: TrainingMaps, place: Workspace) -> tuple[Method, Path | None]:
    """The untrained network with what it takes over before its first step, and the run a predictor came from."""
    network = build_network(plan, training)
    if isinstance(network, LSCGAN) and isinstance(training, CodedMaps) and training.codes is not None:
        network.take_codes(training.codes)
    return network, take_known_predictor(network, plan, place.root / "runs")


def training_maps(maps: MapFile, plan: Plan) -> TrainingMaps:
    """The training split with all that the task asks for."""
    if isinstance(plan.task_config, FromCodeConfig):
        return CodedMaps(maps, plan.task_config)
    return TrainingMaps(maps, with_points=plan.task_entry.needs_points)


def build_network(plan: Plan, training: TrainingMaps) -> Method:
    """The untrained network; one that does not fit into memory is the user's mistake."""
    try:
        return plan.build(training.standardise)
    except (RuntimeError, MemoryError) as error:
        if "alloc" not in str(error) and not isinstance(error, MemoryError):
            raise
        found = str(error)[:100]
        raise UserError("not enough memory for the network", found, "lower method.width or method.code") from error


def _prepare_resumed(
    folder: Path, data: str | Path | MapFile | None, given: dict[str, Any], place: Workspace, held: ExitStack
) -> _Prepared:
    """A run as far as its last sound checkpoint; where it was killed before its first one, from the start."""
    if not (folder / "config.toml").is_file():
        load_run(folder)  # says what is missing
    held.enter_context(held_run(folder))
    checkpoints = folder / "checkpoints"
    for rest in (*folder.glob(".*.part"), *checkpoints.glob(".*.part")):
        rest.unlink()  # of a file that was being written when the run was killed
    run = None
    if (checkpoints / "last.pt").exists() or (checkpoints / "previous.pt").exists():
        run = load_run(folder)
    before = run.plan if run is not None else read_plan(folder)
    maps = find_maps(before.data if data is None else data, place)
    if maps.digest != before.data_digest:
        found = f"{maps.path}, digest {maps.digest[:12]}"
        raise UserError("other data than the run's", found, f"give the file it was: {before.data}")
    train_settings = {name: getattr(before.train, name) for name in TrainConfig.__dataclass_fields__} | given
    plan = replace(before, train=build_config(TrainConfig, train_settings, "train"), data=str(maps.path.resolve()))
    training = training_maps(maps, plan)
    metrics, at = folder / "metrics.jsonl", None
    if run is None:
        drop_metrics_after(metrics, -1)
        network, _ = fresh_network(plan, training, place)
        say(f"resuming {folder}, which has no checkpoint yet, from the start")
    else:
        if run.checkpoint_path.name != "last.pt":
            put_aside_damaged(checkpoints)
        network, at = run.method, run.checkpoint["place"]
        # of samples that are not in a row yet, the row is still to be written, even at the very step of the checkpoint
        drop_metrics_after(metrics, at["step"] - (at["samples"] > 0))
        say(f"resuming {folder} at epoch {at['epoch']}, step {at['step']}")
    describe_run(folder, plan)
    return _Prepared(folder=folder, plan=plan, maps=maps, training=training, network=network, at=at)


def _finish(folder: Path, maps: MapFile, report: bool) -> TrainedRun:
    """Load what was trained, and draw its answers to a few held-out maps (if it gives any) and its losses."""
    run = load_run(folder)
    config = run.plan.method_config
    two_stages = isinstance(config, CGMLConfig) and config.schedule == "two-stage"
    if two_stages and run.checkpoint["place"]["step"] <= config.first_stage:
        say(f"the latent optimiser Z is not trained yet: its stage begins after step {config.first_stage}")
    answered = None
    if run.method.answers:
        rows = held_out_rows(maps, SAMPLES)
        example, answers = run.complete(maps, rows, MODES)
        ids = [maps.ids[row] for row in rows]
        draw_run(folder / "samples", "answers", run, example, answers, ids, shapes=0)  # `complete` draws shapes
        answered = Answered(example, answers, ids)
    metrics = read_metrics(folder / "metrics.jsonl")
    if metrics:
        draw_losses(folder / "samples" / "losses.png", metrics)
    if report:
        leave_report(run, maps, answered)
    return run
