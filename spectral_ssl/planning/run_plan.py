"""What ``pretrain`` is to do: a recipe, options and settings made into one plan, and the maps it is for."""

import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.work_folder import BEING_MADE
from data_prep.sources.catalogue import SOURCES, split_name
from pretext.methods.catalogue import find_method
from pretext.runs.trained_run import Plan
from pretext.tasks.catalogue import find_task
from pretext.training.trainer import TrainConfig
from spectral_ssl.ground.config import build_config, parse_settings, read_toml
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.code_features import find_features
from spectral_ssl.planning.defaults import sections_for
from spectral_ssl.verbs.prep import default_out, prep

RUN_KEYS = ("method", "task", "dataset")
RECIPE_SECTIONS = ("run", "prep", "train", "method", "task")


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
        maps = find_maps(data, place) if data else _recipe_maps(recipe, place)
    else:
        for name, find in ((method, find_method), (task, find_task)):
            if name:
                find(name)  # a mistake is said before anything is prepared
        maps = find_maps(data, place)
        plan_parts = _merge(method, task, sections_for(maps, method, task), given, settings)
    plan_parts["task_config"] = find_features(features, plan_parts["task_config"], maps, place)
    plan = Plan(data=str(maps.path.resolve()), data_digest=maps.digest, **plan_parts)
    plan.task_entry.problem(maps.basis, plan.task_config)  # says at once when the task cannot work on such data
    return plan, maps


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


def find_maps(data: str | Path | MapFile | None, place: Workspace) -> MapFile:
    """The map file given, the workspace's newest, or the built-in shapes, prepared, where there is none."""
    if isinstance(data, MapFile):
        return data
    path = Path(data) if data else place.newest_maps()
    if path is None:
        say("no map file yet: preparing the built-in shapes")
        return _prepared(lambda: prep(workspace=place.root))
    return open_maps(path)


def _prepared(work: Callable[[], MapFile]) -> MapFile:
    """The map file that ``work`` makes, or that another run is making at this moment."""
    told = False
    while True:
        try:
            return work()
        except UserError as error:
            if error.what != BEING_MADE:
                raise
            if not told:
                say(f"{error.got} is being prepared by another process: waiting for it")
                told = True
            time.sleep(1.0)


def _recipe_maps(recipe: str, place: Workspace) -> MapFile:
    """The map file of the data set that a recipe names, prepared as it says; any map file where it names none."""
    path, wanted = recipe_maps_at(recipe, place)
    if path is None:
        return find_maps(None, place)
    if path.exists():
        maps, degree = open_maps(path), wanted["degree"]
        if degree is not None and maps.basis.degree != degree:
            what = f"{path} of degree {maps.basis.degree}"
            raise UserError("the recipe wants another degree", f"{what}, not {degree}", "move it away, or give --data")
        return maps
    say(f"{wanted['dataset']} is not prepared for this recipe yet: preparing {path}")
    return _prepared(lambda: prep(**wanted, out=path, workspace=place.root))


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
