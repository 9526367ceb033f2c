"""Read and check configs: frozen dataclasses that hold the settings of a method, a task or a training.

Each field declares its range with ``within``. A config with many fields keeps them in groups, which
are frozen dataclasses of their own. The full key of a setting in a group is ``group.key``. The bare
``key`` is accepted wherever the config has it only once.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, fields, is_dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

import tomli_w
from pydantic import TypeAdapter, ValidationError

from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import read_small_text

LARGEST_SETTINGS = 1 << 20  # bytes of a recipe
# tomllib needs memory quadratic in the parts of a dotted key (100 kB of a.a.a... take 6 GB), and calls
# itself for each nested list or table in a line. So both are limited before it sees a text.
MOST_PARTS = 16  # of a dotted key; those of this project have at most three
MOST_NESTED = 16  # lists and tables within each other

# Strings and comments, in which dots and brackets mean nothing. A string that has no end matches up
# to the end of its line or of the text. A long string may end in up to two more quotes. All repeats
# are possessive, so that no text is read twice.
_QUIET = re.compile(
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']++|'{1,2}(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]++|\\[^\n])*+(?:"|\\?(?=\n|\Z))'
    r"|'[^'\n]*+(?:'|(?=\n|\Z))"
    r"|\#[^\n]*+",
    re.DOTALL,
)
_LONG_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{MOST_PARTS}}}")
DEEPEST_GROUP = 4  # of tables within each other in a section
RANGE = "range"  # key of a range in a field's metadata

Config = TypeVar("Config")
Settings = Sequence[str] | Mapping[str, Any]


class Range(NamedTuple):
    """Limits of a numeric setting, both included.

    Attributes
    ----------
    low : float
    high : float or str
        A number, or the name of the setting of the same config that holds it.
    or_zero : bool
        Whether 0 is allowed although it is outside the limits.
    """

    low: float
    high: float | str
    or_zero: bool


def within(low: float, high: float | str, *, or_zero: bool = False) -> dict[str, Range]:
    """Make the metadata of a numeric field: ``latent: int = field(default=10, metadata=within(1, 4096))``.

    Parameters
    ----------
    low : float
        Smallest allowed value.
    high : float or str
        Largest allowed value, or the name of the field of the same config that holds it.
    or_zero : bool
        Whether 0 is allowed although it is outside the limits.

    Returns
    -------
    dict
        The range under the key that ``check_ranges`` reads.
    """
    return {RANGE: Range(low, high, or_zero)}


def check_ranges(config: Any, section: str) -> None:
    """Raise a UserError unless all numbers of a config, those of its groups included, are within their ranges.

    A config calls this in its ``__post_init__``, so that direct construction is checked like a
    file.

    Parameters
    ----------
    config : dataclass
        The config. A value of None is not checked.
    section : str
        The section the settings belong to, for the message, e.g. ``"method"``.
    """
    ranged = [field for field in fields(config) if RANGE in field.metadata]
    # A limit that is itself a setting is checked before the settings that it limits.
    for field in sorted(ranged, key=_has_setting_as_limit):
        low, high, or_zero = field.metadata[RANGE]
        value = getattr(config, field.name)
        if value is not None and not (or_zero and value == 0):
            limit = getattr(config, high) if isinstance(high, str) else high
            check_range(f"{section}.{field.name}", value, low, limit)
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            check_ranges(value, f"{section}.{field.name}")


def _has_setting_as_limit(field: Field[Any]) -> bool:
    return isinstance(field.metadata[RANGE].high, str)


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise a UserError unless ``low <= value <= high`` (NaN and what is no number fail)."""
    anything: object = value  # a caller in Python may pass anything
    if not isinstance(anything, Real):
        raise UserError(f"{name} is not a number", repr(value), "give a number")
    if not low <= value <= high:
        raise UserError(f"{name} out of range", value, f"give one from {_format_limit(low)} to {_format_limit(high)}")


def _format_limit(limit: float) -> str:
    """Format a limit: integers in full, e.g. 1000000 and not 1e+06."""
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


@cache
def setting_keys(cls: type) -> tuple[str, ...]:
    """List the full keys of a config's settings, e.g. ``("variant", "networks.width")``."""
    hints, keys = get_type_hints(cls), []
    for field in fields(cls):
        group = hints[field.name]
        if is_dataclass(group) and isinstance(group, type):
            keys += [f"{field.name}.{key}" for key in setting_keys(group)]
        else:
            keys.append(field.name)
    return tuple(keys)


def bare_key(key: str) -> str:
    """Return the last part of a full key: ``width`` of ``networks.width``."""
    return key.rpartition(".")[2]


def flatten(values: Mapping[str, Any], deepest: int = DEEPEST_GROUP) -> dict[str, Any]:
    """Return nested settings under full keys: ``{"networks": {"width": 4}}`` becomes ``{"networks.width": 4}``.

    Raises
    ------
    UserError
        If tables are nested more than ``deepest`` times.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not deepest:
                raise UserError("settings nested too deeply", repr(key), "write them in a group of the section")
            flat |= {f"{key}.{rest}": part for rest, part in flatten(value, deepest - 1).items()}
        else:
            flat[key] = value
    return flat


def merge_settings(cls: type, section: str, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of several sources under their full keys; a later source overrides the ones before.

    Parameters
    ----------
    cls : type
        The config that the settings are for.
    section : str
        The config's name in files and messages.
    *layers : mapping
        Settings as bare keys, as full keys or as nested tables.

    Returns
    -------
    dict
        Full key to value.

    Raises
    ------
    UserError
        On a key that is no setting (the nearest one is named), on a bare key that two groups have,
        and on a setting that one source holds twice.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        resolved: dict[str, Any] = {}
        for key, value in flatten(layer).items():
            full = _full_key(cls, key, section)
            if full in resolved:
                raise UserError("the same setting twice", f"{section}.{full}", "leave one of them out")
            resolved[full] = value
        merged |= resolved
    return merged


def _full_key(cls: type, key: str, section: str) -> str:
    """Return the full key of a setting that a full or bare key names."""
    keys = setting_keys(cls)
    if key in keys:
        return key
    candidates = [full for full in keys if full.endswith(f".{key}")]
    if len(candidates) > 1:
        choices = " or ".join(f"{section}.{full}" for full in candidates)
        raise UserError("ambiguous setting", repr(f"{section}.{key}"), f"write {choices}")
    if not candidates:
        known = keys if "." in key else {bare_key(full) for full in keys}
        raise unknown_name(f"setting in [{section}]", key, known)
    return candidates[0]


def build_config(cls: type[Config], values: Mapping[str, Any], section: str) -> Config:
    """Make a config from a mapping; text is read as the field's own type.

    Parameters
    ----------
    cls : type
        A frozen dataclass with a default for every field.
    values : mapping
        Settings as bare keys, as full keys or as nested tables.
    section : str
        The config's name in files and messages, e.g. ``"method"``.

    Returns
    -------
    Config

    Raises
    ------
    UserError
        On a key that is no setting (the nearest one is named) and on a value of the wrong type or
        out of range.
    """
    if not is_dataclass(cls):
        raise TypeError(f"{cls} is not a dataclass")
    nested: dict[str, Any] = {}
    for key, value in merge_settings(cls, section, values).items():
        table = nested
        *groups, name = key.split(".")
        for group in groups:
            table = table.setdefault(group, {})
        table[name] = value
    try:
        # A config that checks its own ranges raises a UserError, which pydantic passes on.
        config = TypeAdapter(cls).validate_python(nested)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([section, *(str(part) for part in first["loc"])])
        raise UserError(f"bad value for {key}", repr(first["input"]), str(first["msg"]).lower()) from error
    check_ranges(config, section)
    return config


def as_texts(settings: Settings) -> list[str]:
    """Write settings as texts ``key=value``; texts stay as they are.

    Parameters
    ----------
    settings : sequence of str, or mapping
        Texts, or values by key; a mapping may be nested, e.g. ``{"train": {"epochs": 2}}``.

    Examples
    --------
    >>> from spectral_ssl.ground.config import as_texts
    >>> as_texts({"width": 8, "train": {"flip": True}})
    ['width=8', 'train.flip=True']
    """
    if isinstance(settings, Mapping):
        return [f"{key}={value}" for key, value in flatten(settings).items()]
    return list(settings)


def parse_settings(settings: Settings, sections: Mapping[str, type]) -> dict[str, dict[str, str]]:
    """Sort texts such as ``key=value``, ``section.key=value`` or ``section.group.key=value`` into sections.

    Parameters
    ----------
    settings : sequence of str, or mapping
        The texts given to ``--set``, or values by key. Of several texts for one setting the last one counts.
    sections : mapping of str to dataclass type
        The config of each section. A key without its section goes to the one section that has it.

    Returns
    -------
    dict
        Section to full key to text.

    Raises
    ------
    UserError
        On a text without ``=``, an unknown section or key, and a key that fits two settings.
    """
    parsed: dict[str, dict[str, str]] = {name: {} for name in sections}
    full_names = [(section, key) for section, cls in sections.items() for key in setting_keys(cls)]
    for setting in as_texts(settings):
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError("unreadable setting", repr(setting), "write --set key=value")
        section, dot, rest = key.partition(".")
        if dot and section in sections:
            parsed[section][_full_key(sections[section], rest, section)] = value.strip()
            continue
        candidates = [name for name in full_names if f".{name[1]}".endswith(f".{key}")]
        if len(candidates) > 1:
            choices = " or ".join(".".join(name) for name in candidates)
            raise UserError("ambiguous setting", repr(key), f"write {choices}")
        if not candidates and dot:
            raise unknown_name("section of --set", section, sections)
        if not candidates:
            raise unknown_name("setting", key, {bare_key(full) for _, full in full_names})
        section, key = candidates[0]
        parsed[section][key] = value.strip()
    return parsed


def to_toml(sections: Mapping[str, Any]) -> str:
    """Write several sections, each a dataclass or a mapping, as TOML text; None is left out."""
    plain = {
        name: _without_none(asdict(part) if is_dataclass(part) and not isinstance(part, type) else part)
        for name, part in sections.items()
    }
    return tomli_w.dumps(plain)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }


def parse_toml(text: str) -> dict[str, Any]:
    r"""Parse a TOML text of bounded length and depth.

    Parameters
    ----------
    text : str
        At most 2^20 characters, keys of at most 16 parts, at most 16 lists or tables within each
        other.

    Returns
    -------
    dict
        The values by key.

    Raises
    ------
    tomllib.TOMLDecodeError
        If the text is no TOML or exceeds a limit; it is a ValueError.

    Examples
    --------
    >>> from spectral_ssl.ground.config import parse_toml
    >>> parse_toml("[train]\nepochs = 3")
    {'train': {'epochs': 3}}
    """
    if len(text) > LARGEST_SETTINGS:
        raise tomllib.TOMLDecodeError(f"text of {len(text)} characters, more than {LARGEST_SETTINGS}")
    bare = _QUIET.sub("s", text)
    if _LONG_KEY.search(bare):
        raise tomllib.TOMLDecodeError(f"a key of more than {MOST_PARTS} parts")
    depth = 0
    for found in re.finditer(r"[\[\]{}]", bare):
        depth += 1 if found[0] in "[{" else -1
        if depth > MOST_NESTED:
            raise tomllib.TOMLDecodeError(f"more than {MOST_NESTED} lists or tables within each other")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise tomllib.TOMLDecodeError("nested too deeply") from error


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Read the sections of a TOML file.

    Raises
    ------
    UserError
        When the file is missing or not TOML.
    """
    try:
        return parse_toml(read_small_text(path, LARGEST_SETTINGS))
    except (ValueError, RecursionError) as error:
        raise UserError("unreadable settings file", f"{path} ({error})", "mend it or remove it") from error
