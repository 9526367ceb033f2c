"""Recipes: TOML files that name a method, a task, a data set and their settings."""

from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from data_prep.sources.catalogue import SOURCES, split_name
from spectral_ssl.ground.config import build_config, parse_toml, read_toml
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.options import described
from spectral_ssl.planning.prep_options import PrepOptions

RUN_KEYS = ("method", "task", "dataset")
PREP_KEYS = tuple(each.name for each, about in described(PrepOptions) if about.in_recipe)
SECTIONS = ("run", "prep", "train", "method", "task")

Sections = dict[str, dict[str, Any]]


def list_recipes() -> list[str]:
    """List the names of the recipes that come with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in files("spectral_ssl").joinpath("recipes").iterdir())


def read_recipe(recipe: str) -> Sections:
    """Read the sections of a recipe.

    Parameters
    ----------
    recipe : str
        The name of a recipe, or the path of a TOML file.

    Returns
    -------
    dict of str to dict
        Section -> key -> value, not checked.

    Raises
    ------
    UserError
        When there is no recipe of that name, or the file is not TOML.
    """
    if recipe in list_recipes():
        text = files("spectral_ssl").joinpath("recipes", f"{recipe}.toml").read_text(encoding="utf-8")
        return parse_toml(text)
    if recipe.endswith(".toml") and Path(recipe).is_file():
        return read_toml(Path(recipe))
    raise unknown_name("recipe", recipe, list_recipes())


def check_recipe(sections: Mapping[str, Any]) -> None:
    """Raise a UserError unless a recipe has known sections, and known keys in [run] and [prep].

    The other sections are checked with the configs of the method, the task and the training.

    Parameters
    ----------
    sections : mapping
        What `read_recipe` gives.

    Raises
    ------
    UserError
        On the first section, key or value that is not allowed.
    """
    for section, values in sections.items():
        if not isinstance(values, dict):
            raise UserError("unreadable recipe", f"{section} = {values!r}", f"write a section [{section}]")
    names = sections.get("run", {})
    for key in names:
        if key not in RUN_KEYS:
            raise unknown_name("setting in [run] of the recipe", key, RUN_KEYS)
    for section in sections:
        if section not in SECTIONS:
            raise unknown_name("section of the recipe", section, SECTIONS)
    _build_prep_options(sections)
    for key, value in names.items():
        if not isinstance(value, str):
            raise UserError(f"unreadable {key} in the recipe", repr(value), "write a name")


def find_recipe_prep(recipe: str, workspace: Workspace) -> PrepOptions | None:
    """Return the options with which ``prep`` makes the map file that a recipe names.

    Parameters
    ----------
    recipe : str
        The name of a recipe, or the path of a TOML file.
    workspace : Workspace
        The workspace.

    Returns
    -------
    PrepOptions or None
        The options; ``out`` is the map file, which may exist. None if the recipe names no data set.
    """
    sections = read_recipe(recipe)
    dataset = sections.get("run", {}).get("dataset")
    if dataset is None:
        return None
    if str(dataset).partition(":")[0] not in SOURCES:
        # Recipes come from others: only "folder:" leads to a folder, not a name that happens to be one.
        raise unknown_name("dataset", str(dataset), SOURCES)
    # Imports numba, which a list of the recipes does not need.
    from spectral_ssl.planning.prep_plan import default_out

    options = replace(_build_prep_options(sections), dataset=dataset, workspace=workspace.root)
    has_images = SOURCES[split_name(dataset)[0]].kind == "images"
    return replace(options, out=default_out(options, workspace, "pixels" if has_images else options.basis))


def _build_prep_options(sections: Mapping[str, Any]) -> PrepOptions:
    """Build the options of ``prep`` from the section [prep], which may set a few of them."""
    values = sections.get("prep", {})
    for key in values:
        if key not in PREP_KEYS:
            raise unknown_name("setting in [prep]", key, PREP_KEYS)
    return build_config(PrepOptions, values, "prep")
