"""Every number in every config has a range, and a value just outside of it is refused."""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest

from downstream.features.kmeans_patches import PatchConfig
from downstream.study.design import StudyConfig
from pretext.methods.catalogue import METHODS
from pretext.tasks.catalogue import TASKS
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import RANGE, bare_key, build_config, setting_keys
from spectral_ssl.ground.errors import UserError

MOST_FIELDS = 12
CONFIGS: dict[str, tuple[type, str]] = {
    **{f"method {name}": (entry.config, "method") for name, entry in METHODS.items()},
    **{f"task {name}": (entry.config, "task") for name, entry in TASKS.items()},
    "train": (TrainConfig, "train"),
    "study": (StudyConfig, "study"),
    "patches": (PatchConfig, "patches"),
}


def numbers(cls: type, prefix: str = "") -> Iterator[tuple[str, Any, type]]:
    """List full key, field and owner of each number in a config and in its groups."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        kinds = {hints[field.name], *get_args(hints[field.name])}
        if is_dataclass(hints[field.name]):
            yield from numbers(hints[field.name], f"{prefix}{field.name}.")
        elif kinds & {int, float}:
            yield f"{prefix}{field.name}", field, cls


CASES = [
    pytest.param(name, key, field, owner, id=f"{name} {key}")
    for name, (cls, _) in CONFIGS.items()
    for key, field, owner in numbers(cls)
]


def test_there_are_numbers_to_check() -> None:
    assert len(CASES) > 100


@pytest.mark.parametrize(("name", "key", "field", "owner"), CASES)
def test_a_number_just_outside_its_range_is_refused(name: str, key: str, field: Any, owner: type) -> None:
    assert RANGE in field.metadata, f"{name} {key} has no range"
    cls, section = CONFIGS[name]
    low, high, or_zero = field.metadata[RANGE]
    if isinstance(high, str):
        high = getattr(owner(), high)
    is_whole = get_type_hints(owner)[field.name] is int
    outside = [low - 1, high + 1] if is_whole else [low - 1e-6, high * (1 + 1e-6) + 1e-9, math.nan, math.inf, -math.inf]
    if or_zero:
        build_config(cls, {key: 0}, section)
        outside = [value for value in outside if value != 0]
    for value in outside:
        with pytest.raises(UserError) as caught:
            build_config(cls, {key: value}, section)
        assert f"{section}.{key} out of range" in str(caught.value)
        assert f"got {value}" in str(caught.value)
        with pytest.raises(UserError, match="out of range"):
            owner(**{field.name: value})


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_small_and_each_setting_has_a_name_of_its_own(name: str) -> None:
    cls, section = CONFIGS[name]
    assert len(fields(cls)) <= MOST_FIELDS
    bare = [bare_key(key) for key in setting_keys(cls)]
    assert len(set(bare)) == len(bare)  # so that `--set key=value` needs no group
    assert build_config(cls, {}, section) == cls()
