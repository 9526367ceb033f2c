"""Settle what ``pretrain`` does: make one plan of a recipe, options and settings, and find its maps."""

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.maps.reader import MapFile, open_maps
from pretext.data.alter_images import check_alterations
from pretext.methods.catalogue import METHODS, find_method
from pretext.runs.plan import Plan
from pretext.tasks.catalogue import TASKS, find_task
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import (
    as_texts,
    bare_key,
    build_config,
    flatten,
    merge_settings,
    parse_settings,
    setting_keys,
)
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.code_features import find_features
from spectral_ssl.planning.defaults import choose_sections, has_bfloat16
from spectral_ssl.planning.find_data import find_maps, wait_for_maps
from spectral_ssl.planning.new_run.init_from import (
    Weights,
    choose_for_weights,
    choose_weights,
    find_given_weights,
    inherit_settings,
)
from spectral_ssl.planning.new_run.universe import FRESH, check_stream, find_fresh, is_universe
from spectral_ssl.planning.options import settings_of
from spectral_ssl.planning.prep_plan import prepare_dataset
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.recipe import Sections, check_recipe, find_recipe_prep, read_recipe

RATE = "learning_rate"  # how the names of all learning rates end


@dataclass(frozen=True, kw_only=True)
class _Names:
    """The method and the task of a plan."""

    method: str
    task: str


def plan_run(options: PretrainOptions, workspace: Workspace, opened: MapFile | None = None) -> tuple[Plan, MapFile]:
    """Settle what ``pretrain`` does to the last setting, and open the maps; missing maps are prepared.

    Parameters
    ----------
    options : PretrainOptions
        The options of the call. ``device``, ``resume``, ``out`` and ``report`` are not used.
    workspace : Workspace
        The workspace. Features of a run are exported to it.
    opened : MapFile, optional
        The maps to train on, if they are open already; by default they are found.

    Returns
    -------
    Plan
        The plan of the run.
    MapFile
        The maps to train on.

    Raises
    ------
    UserError
        When options, recipe and settings are invalid, or the task cannot work on the maps.
    """
    given = find_given_weights(options, workspace)
    if options.recipe:
        recipe = str(options.recipe)
        sections = _read_fast_recipe(recipe)
        parts = _merge(options, deepcopy(sections), None)
        maps = opened or (find_maps(options.data, workspace) if options.data else _open_recipe_maps(recipe, workspace))
        weights = choose_weights(given, options, maps, is_default_allowed=False)
        if weights is not None:
            parts = _merge(options, sections, weights)
    else:
        # a wrong name is reported before anything is prepared
        if options.method:
            find_method(options.method)
        if options.task:
            find_task(options.task)
        maps = opened or find_maps(options.data, workspace)
        fresh = find_fresh(options.data, options.settings)
        weights = choose_weights(given, options, maps, is_default_allowed=True)
        if weights is None:
            sections = choose_sections(maps, options.method, options.task, fresh)
        else:
            names = weights.source.plan
            sections = choose_sections(maps, names.method, names.task, fresh)
            sections = choose_for_weights(weights.source, maps, sections.get("train", {}), fresh)
        parts = _merge(options, sections, weights)
    task = find_task(parts["task"])
    if task.codes is not None and not find_method(parts["method"]).reads_codes:
        readers = " or ".join(name for name, entry in METHODS.items() if entry.reads_codes)
        got = f"--method {parts['method']} --task {parts['task']}"
        raise UserError("a method that reads no codes", got, f"take --method {readers}, or another task")
    parts["task_config"] = find_features(task, parts["task_config"], maps, workspace)
    plan = Plan(
        data=str(maps.path.resolve()),
        data_digest=maps.digest,
        init_from=weights.name if weights is not None else "",
        init_digest=weights.source.checkpoint_digest if weights is not None else "",
        **parts,
    )
    check_stream(plan, maps)
    check_alterations(maps.basis, plan.train.data.enlarge, plan.train.data.flip)
    plan.task_entry.problem(maps.basis, plan.task_config)  # fails now if the task cannot work on these maps
    return plan, maps


def name_precision_source(options: PretrainOptions) -> str:
    """Name who chose the precision of the layers, in the words of the line about it."""
    keys = {setting.partition("=")[0].strip() for setting in as_texts(options.settings)}
    if options.precision is not None or keys & {"precision", "train.precision"}:
        return "as set"
    if options.recipe and "precision" in read_recipe(str(options.recipe)).get("train", {}):
        return f"as in the recipe {options.recipe}"
    return "the default for these maps on this processor"


def _read_fast_recipe(recipe: str) -> Sections:
    """Read a recipe; where the processor does not multiply bfloat16, a recipe's bf16 is left to the device.

    There bfloat16 takes several times as long as float32. A GPU still gets it.
    """
    sections = read_recipe(recipe)
    check_recipe(sections)
    train = sections.get("train", {})
    if train.get("precision") == "bf16" and not has_bfloat16():
        say(f"bf16 of the recipe {recipe} is left out: this processor does not multiply it")
        sections["train"] = train | {"precision": "auto"}
    return sections


def _merge(options: PretrainOptions, sections: Sections, weights: Weights | None) -> dict[str, Any]:
    """Merge a recipe, ``settings`` and the options that stand for a setting into the parts of a plan.

    A later source overrides the ones before: the stream of ``--data universe``, the settings of the
    weights to start from, the recipe, options of the training, ``settings``, options of the method
    and the task.
    """
    check_recipe(sections)
    names = _choose_names(options, sections)
    configs = {"train": TrainConfig, "method": find_method(names.method).config, "task": find_task(names.task).config}
    texts = parse_settings(options.settings, configs)
    short = {section: settings_of(options, section) for section in configs}
    _check_short(short, names)
    values = {section: {key: value for key, (_, value) in short[section].items()} for section in configs}
    base: Sections = {"train": {"fresh": FRESH}} if is_universe(options.data) else {}
    base |= inherit_settings(weights.source, names.method, names.task) if weights is not None else {}
    built: dict[str, Any] = {}
    for section, config in configs.items():
        before, after = (values[section], {}) if section == "train" else ({}, values[section])
        layers = (base.get(section, {}), sections.get(section, {}), before, texts[section], after)
        merged = merge_settings(config, section, *layers)
        built[section] = build_config(config, merged, section)
    return {
        "method": names.method,
        "task": names.task,
        "train": built["train"],
        "method_config": built["method"],
        "task_config": built["task"],
    }


def _choose_names(options: PretrainOptions, sections: Sections) -> _Names:
    """Choose the method and the task; with another method than the recipe's, keep the settings that both know."""
    names = sections.get("run", {})
    # a recipe that names only one of the two gets the other one that goes with it
    recipes_method = names.get("method", find_task(options.task or names.get("task", "denoise")).method)
    method = options.method or recipes_method
    if method != recipes_method and "method" in sections:
        # the same recipe with another method, e.g. a baseline: what both know stays, so that sizes
        # stay the same
        known, left_out = _known_settings(find_method(method).config, sections["method"])
        if left_out:
            say(f"{method} has no {', '.join(left_out)}: left out of the recipe's settings")
        # A rate that is best for one method can be far too high for another.
        rates = [key for key in known if key.endswith(RATE)]
        if rates:
            say(f"{method} has its own {', '.join(rates)} in place of the recipe's")
        sections["method"] = {key: value for key, value in known.items() if key not in rates}
    default_task = "views" if method == "joint-embedding" else find_method(method).task
    return _Names(method=method, task=options.task or names.get("task", default_task))


def _known_settings(config: type, values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that a config knows, and the keys of the others."""
    keys = setting_keys(config)
    known = {*keys, *map(bare_key, keys)}
    # another method may hold the same setting in another group
    flat = {key if key in known else bare_key(key): value for key, value in flatten(values).items()}
    return {key: value for key, value in flat.items() if key in known}, [key for key in flat if key not in known]


def _check_short(short: dict[str, dict[str, tuple[str, Any]]], names: _Names) -> None:
    """Raise a UserError if an option stands for a setting that the method or the task does not have."""
    for section, entries, name in (("method", METHODS, names.method), ("task", TASKS, names.task)):
        for key, (option, value) in short[section].items():
            owners = [other for other, entry in entries.items() if _has_setting(entry.config, key)]
            if name not in owners:
                what_to_do = f"leave it out, or give --{section} {' or '.join(owners)}"
                raise UserError(f"the {section} {name} has no {option}", f"--{option} {value}", what_to_do)


def _has_setting(config: type, key: str) -> bool:
    """Tell whether a config has a setting of that bare key."""
    return key in {bare_key(full) for full in setting_keys(config)}


def _open_recipe_maps(recipe: str, workspace: Workspace) -> MapFile:
    """Open the map file that a recipe names, prepared as it says; any map file if it names none."""
    options = find_recipe_prep(recipe, workspace)
    if options is None:
        return find_maps(None, workspace)
    path = Path(str(options.out))
    if path.exists():
        maps = open_maps(path)
        if options.degree is not None and maps.basis.degree != options.degree:
            got = f"{path} of degree {maps.basis.degree}, not {options.degree}"
            raise UserError("the recipe wants another degree", got, "move it away, or give --data")
        return maps
    say(f"{options.dataset} is not prepared for this recipe yet: preparing {path}")
    return wait_for_maps(lambda: prepare_dataset(replace(options, workspace=workspace.root)))
