"""``pretrain``: train a pretext task on a map file."""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_prep.map_store import MapFile, open_maps
from data_prep.sources import SOURCES, split_name
from downstream.figures import draw_losses
from downstream.run_pictures import draw_run
from pretext.cgml import CGMLConfig
from pretext.coded_maps import CodedMaps
from pretext.engine import TrainConfig, train
from pretext.known_predictor import take_known_predictor
from pretext.lsc_gan import LSCGAN
from pretext.method import Method
from pretext.methods import find_method
from pretext.runs import Plan, TrainedRun, describe_run, held_out_rows, load_run, start_run
from pretext.tasks import find_task
from pretext.tasks.from_code import FromCodeConfig
from pretext.training_maps import TrainingMaps
from spectral_ssl.ground.config import build_config, parse_settings, read_toml
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.metrics_log import drop_metrics_after, read_metrics
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.find_features import find_features
from spectral_ssl.verbs.first_choice import sections_for
from spectral_ssl.verbs.prep import default_out, prep

RUN_KEYS = ("method", "task", "dataset")
RECIPE_SECTIONS = ("run", "prep", "train", "method", "task")
SAMPLES = 6
MODES = 3


@dataclass(frozen=True, kw_only=True)
class RecipePrep:
    """How a recipe wants its data set prepared; see ``prep``.

    Attributes
    ----------
    size, degree : int or None
    side, basis : str or None
    keep_points : bool or None
    """

    size: int | None = None
    side: str | None = None
    basis: str | None = None
    degree: int | None = None
    keep_points: bool | None = None


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
    settings: Sequence[str] = (),
    resume: str | Path | None = None,
    out: str | Path | None = None,
    workspace: str | Path | None = None,
) -> TrainedRun:
    """Train a method on a task.

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
    settings : sequence of str
        "key=value" or "section.key=value", sections train, method and task.
    resume : path, optional
        Go on with this run exactly where it stopped; only ``data``, ``epochs`` and ``max_minutes`` may be given along.
        More epochs than before lengthen learning rates that fall over the training: such a run is then not the one that
        was to take so many epochs from the start.
    out : path, optional
        The run folder; ``WS/runs/DATE-METHOD-TASK`` by default. It must not exist.
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
    short = {"epochs": epochs, "max_minutes": max_minutes, "seed": seed}
    given = {key: value for key, value in short.items() if value is not None}
    if resume is not None:
        if method or task or recipe or settings or out or seed is not None or features:
            raise UserError("a resumed run keeps its settings", "other options with --resume", "leave them out")
        return _resume(place.find_run(resume), data, given, place)
    if out is not None:
        refuse_existing(Path(out), overwrite=False)
    plan, maps = plan_run(
        data, method=method, task=task, recipe=recipe, given=given, settings=settings, features=features, place=place
    )
    training = training_maps(maps, plan)
    network = build_network(plan, training)
    if isinstance(network, LSCGAN) and isinstance(training, CodedMaps) and training.codes is not None:
        network.take_codes(training.codes)
    known = take_known_predictor(network, plan, place.root / "runs")
    folder = Path(out) if out else place.new_run(plan.method, plan.task)
    start_run(folder, plan)
    if known is not None:
        say(f"the predictor is that of {known}")
    say(f"training {plan.method} on {plan.task}: {len(training)} maps of {maps.path}, in {folder}")
    train(network, plan.corrupt, plan.view, training, plan.train, folder, plan.to_toml())
    return _finish(folder, maps)


def plan_run(
    data: str | Path | MapFile | None,
    *,
    method: str | None,
    task: str | None,
    recipe: str | None,
    given: dict[str, Any],
    settings: Sequence[str],
    features: str | Path | None,
    place: Workspace,
) -> tuple[Plan, MapFile]:
    """What ``pretrain`` is to do, settled to the last setting, and the maps it is to do it on; see there.

    ``given`` holds the settings of the training that have options of their own.
    """
    if recipe:
        recipe = str(recipe)
        sections = read_recipe(recipe)
        plan_parts = _merge(method, task, sections, given, settings)
        maps = _find_maps(data, place) if data else _recipe_maps(recipe, place)
    else:
        for name, find in ((method, find_method), (task, find_task)):
            if name:
                find(name)  # a mistake is said before anything is prepared
        maps = _find_maps(data, place)
        plan_parts = _merge(method, task, sections_for(maps, method, task), given, settings)
    plan_parts["task_config"] = find_features(features, plan_parts["task_config"], maps, place)
    plan = Plan(data=str(maps.path.resolve()), data_digest=maps.digest, **plan_parts)
    plan.task_entry.problem(maps.basis, plan.task_config)  # says at once when the task cannot work on such data
    return plan, maps


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


def _resume(folder: Path, data: str | Path | MapFile | None, given: dict[str, Any], place: Workspace) -> TrainedRun:
    run = load_run(folder)
    maps = _find_maps(run.plan.data if data is None else data, place)
    if maps.digest != run.plan.data_digest:
        found = f"{maps.path}, digest {maps.digest[:12]}"
        raise UserError("other data than the run's", found, f"give the file it was: {run.plan.data}")
    train_settings = {name: getattr(run.plan.train, name) for name in TrainConfig.__dataclass_fields__} | given
    plan = Plan(
        method=run.plan.method,
        task=run.plan.task,
        train=build_config(TrainConfig, train_settings, "train"),
        method_config=run.plan.method_config,
        task_config=run.plan.task_config,
        data=str(maps.path.resolve()),
        data_digest=run.plan.data_digest,
    )
    training = training_maps(maps, plan)
    describe_run(folder, plan)
    at = run.checkpoint["place"]
    drop_metrics_after(folder / "metrics.jsonl", at["step"])
    say(f"resuming {folder} at epoch {at['epoch']}, step {at['step']}")
    train(run.method, plan.corrupt, plan.view, training, plan.train, folder, plan.to_toml(), at)
    return _finish(folder, maps)


def _merge(
    method: str | None,
    task: str | None,
    sections: dict[str, dict[str, Any]],
    given: dict[str, Any],
    settings: Sequence[str],
) -> dict[str, Any]:
    """A recipe's sections, then options, then settings, each over the one before; then names to configs."""
    for section, values in sections.items():
        if not isinstance(values, dict):
            raise UserError("unreadable recipe", f"{section} = {values!r}", f"write a section [{section}]")
    names = sections.get("run", {})
    for key in names:
        if key not in RUN_KEYS:
            raise unknown_name("setting in [run] of the recipe", key, RUN_KEYS)
    for section in sections:
        if section not in RECIPE_SECTIONS:
            raise unknown_name("section of the recipe", section, RECIPE_SECTIONS)
    build_config(RecipePrep, sections.get("prep", {}), "prep")
    for key, value in names.items():
        if not isinstance(value, str):
            raise UserError(f"unreadable {key} in the recipe", repr(value), "write a name")
    # a recipe that names one of the two gets what goes with it
    recipes_method = names.get("method", find_task(task or names.get("task", "denoise")).method)
    if method and method != recipes_method and "method" in sections:
        # the same recipe with another method, e.g. a baseline: what both know is kept, so that sizes stay the same
        known = [field.name for field in fields(find_method(method).config)]
        left_out = [key for key in sections["method"] if key not in known]
        sections["method"] = {key: value for key, value in sections["method"].items() if key in known}
        if left_out:
            say(f"{method} has no {', '.join(left_out)}: left out of the recipe's settings")
    method = method or recipes_method
    task = task or names.get("task", "views" if method == "joint-embedding" else find_method(method).task)
    configs = {"train": TrainConfig, "method": find_method(method).config, "task": find_task(task).config}
    texts = parse_settings(settings, configs)
    built: dict[str, Any] = {
        section: build_config(
            config, {**sections.get(section, {}), **(given if section == "train" else {}), **texts[section]}, section
        )
        for section, config in configs.items()
    }
    return {
        "method": method,
        "task": task,
        "train": built["train"],
        "method_config": built["method"],
        "task_config": built["task"],
    }


def recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in files("spectral_ssl").joinpath("recipes").iterdir())


def read_recipe(recipe: str) -> dict[str, dict[str, Any]]:
    """A recipe's sections, from its name or its file.

    Raises
    ------
    UserError
        When there is none of that name, or the file is not TOML.
    """
    if recipe in recipes():
        text = files("spectral_ssl").joinpath("recipes", f"{recipe}.toml").read_text(encoding="utf-8")
    elif recipe.endswith(".toml") and Path(recipe).is_file():
        return read_toml(Path(recipe))
    else:
        raise unknown_name("recipe", recipe, recipes())
    return tomllib.loads(text)


def _find_maps(data: str | Path | MapFile | None, place: Workspace) -> MapFile:
    if isinstance(data, MapFile):
        return data
    path = Path(data) if data else place.newest_maps()
    if path is None:
        say("no map file yet: preparing the built-in shapes")
        return prep(workspace=place.root)
    return open_maps(path)


def _recipe_maps(recipe: str, place: Workspace) -> MapFile:
    """The map file of the data set that a recipe names, prepared as it says; any map file where it names none."""
    path, wanted = recipe_maps_at(recipe, place)
    if path is None:
        return _find_maps(None, place)
    if path.exists():
        maps, degree = open_maps(path), wanted["degree"]
        if degree is not None and maps.basis.degree != degree:
            what = f"{path} of degree {maps.basis.degree}"
            raise UserError("the recipe wants another degree", f"{what}, not {degree}", "move it away, or give --data")
        return maps
    say(f"{wanted['dataset']} is not prepared for this recipe yet: preparing {path}")
    return prep(**wanted, out=path, workspace=place.root)


def recipe_maps_at(recipe: str, place: Workspace) -> tuple[Path | None, dict[str, Any]]:
    """Where the map file that a recipe names is or would be, and how ``prep`` is to make it; None if it names none."""
    sections = read_recipe(str(recipe))
    dataset = sections.get("run", {}).get("dataset")
    if dataset is None:
        return None, {}
    options = asdict(build_config(RecipePrep, sections.get("prep", {}), "prep"))
    basis = options["basis"] or "zernike"
    images = SOURCES[split_name(dataset)[0]].kind == "images"
    path = default_out(dataset, place, "pixels" if images else basis, options)
    return path, {**options, "dataset": dataset, "basis": basis}


def _finish(folder: Path, maps: MapFile) -> TrainedRun:
    """Load what was trained, and draw its answers to a few held-out maps (if it gives any) and its losses."""
    run = load_run(folder)
    config = run.plan.method_config
    two_stages = isinstance(config, CGMLConfig) and config.schedule == "two-stage"
    if two_stages and run.checkpoint["place"]["step"] <= config.first_stage:
        say(f"the latent optimiser Z is not trained yet: its stage begins after step {config.first_stage}")
    if run.method.answers:
        rows = held_out_rows(maps, SAMPLES)
        example, answers = run.complete(maps, rows, MODES)
        ids = [maps.ids[row] for row in rows]
        draw_run(folder / "samples", "answers", run, example, answers, ids, shapes=0)  # `complete` draws shapes
    metrics = read_metrics(folder / "metrics.jsonl")
    if metrics:
        draw_losses(folder / "samples" / "losses.png", metrics)
    return run
