"""Configs: frozen dataclasses, filled from text or TOML, with unknown keys refused and the nearest one named."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import TypeAdapter, ValidationError

from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import read_small_text

LARGEST_SETTINGS = 1 << 20  # bytes of a recipe

Config = TypeVar("Config")


def build_config(cls: type[Config], values: Mapping[str, Any], section: str) -> Config:
    """Make a config from a mapping; text is read as the field's own type.

    Parameters
    ----------
    cls : type
        A frozen dataclass with a default for every field.
    values : mapping
        Field name to value.
    section : str
        What the config is called in files and messages, e.g. ``"method"``.

    Returns
    -------
    Config

    Raises
    ------
    UserError
        On a key that is not a field (the nearest field is named) and on a value of the wrong type or out of range.
    """
    if not is_dataclass(cls):
        raise TypeError(f"{cls} is not a dataclass")
    known = [field.name for field in fields(cls)]
    for key in values:
        if key not in known:
            raise unknown_name(f"setting in [{section}]", key, known)
    try:
        # a dataclass checks its own ranges in __post_init__ and raises UserError, which passes through
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([section, *(str(part) for part in first["loc"])])
        raise UserError(f"bad value for {key}", repr(first["input"]), str(first["msg"]).lower()) from error


def parse_settings(settings: Sequence[str], sections: Mapping[str, type]) -> dict[str, dict[str, str]]:
    """Sort ``key=value`` or ``section.key=value`` texts into sections.

    Parameters
    ----------
    settings : sequence of str
        As given to ``--set``.
    sections : mapping of str to dataclass type
        The sections there are. A bare key goes to the one section that has it.

    Returns
    -------
    dict
        Section to key to text.

    Raises
    ------
    UserError
        On a text without ``=``, an unknown section or key, and a bare key that two sections have.
    """
    sorted_out: dict[str, dict[str, str]] = {name: {} for name in sections}
    names = {section: [field.name for field in fields(cls)] for section, cls in sections.items()}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError("unreadable setting", repr(setting), "write --set key=value")
        section, dot, bare = key.partition(".")
        if dot:
            if section not in sections:
                raise unknown_name("section of --set", section, sections)
            owner, key = section, bare
        else:
            owners = [section for section, keys in names.items() if key in keys]
            if not owners:
                raise unknown_name("setting", key, [key for keys in names.values() for key in keys])
            if len(owners) > 1:
                choices = " or ".join(f"{owner}.{key}" for owner in owners)
                raise UserError("ambiguous setting", repr(key), f"write {choices}")
            owner = owners[0]
        sorted_out[owner][key] = value.strip()
    return sorted_out


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise a UserError unless ``low <= value <= high`` (NaN fails)."""
    if not low <= value <= high:
        raise UserError(f"{name} out of range", value, f"give one from {low:g} to {high:g}")


def to_toml(sections: Mapping[str, Any]) -> str:
    """TOML text of several sections, each a dataclass or a mapping; None is left out."""
    plain = {
        name: {
            key: value
            for key, value in (asdict(part) if is_dataclass(part) and not isinstance(part, type) else part).items()
            if value is not None
        }
        for name, part in sections.items()
    }
    return tomli_w.dumps(plain)


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Sections of a TOML file.

    Raises
    ------
    UserError
        When the file is missing or not TOML.
    """
    try:
        return tomllib.loads(read_small_text(path, LARGEST_SETTINGS))
    except (ValueError, RecursionError) as error:
        raise UserError("unreadable settings file", f"{path} ({error})", "mend it or remove it") from error
