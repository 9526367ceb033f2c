"""Configs: unknown keys and bad values are one line with what to do."""

from dataclasses import dataclass
from typing import Literal

import pytest

from spectral_ssl.ground.config import build_config, check_range, parse_settings, to_toml
from spectral_ssl.ground.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Engine:
    speed: float = 1.0
    wheels: int = 4
    colour: Literal["red", "blue"] = "red"
    name: str | None = None

    def __post_init__(self) -> None:
        check_range("engine.speed", self.speed, 0, 10)


@dataclass(frozen=True, kw_only=True)
class Boat:
    speed: float = 2.0
    masts: int = 1


def test_text_is_read_as_the_fields_type() -> None:
    assert build_config(Engine, {"speed": "2.5", "wheels": "3", "colour": "blue"}, "engine") == Engine(
        speed=2.5, wheels=3, colour="blue"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weels": 3}, ["weels", "did you mean 'wheels'"]),
        ({"wheels": "three"}, ["engine.wheels", "three"]),
        ({"colour": "green"}, ["engine.colour", "green", "'red'"]),
        ({"speed": 11}, ["engine.speed", "11", "from 0 to 10"]),
        ({"speed": "nan"}, ["engine.speed"]),
    ],
)
def test_mistakes_name_the_key_the_value_and_the_way_out(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        build_config(Engine, values, "engine")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_find_their_section() -> None:
    sections = {"engine": Engine, "boat": Boat}
    found = parse_settings(["wheels=3", "boat.speed=1", "masts = 2"], sections)
    assert found == {"engine": {"wheels": "3"}, "boat": {"speed": "1", "masts": "2"}}
    for wrong, word in (
        ("speed=1", "ambiguous"),
        ("mast=1", "masts"),
        ("wheels", "key=value"),
        ("car.speed=1", "section"),
    ):
        with pytest.raises(UserError, match=word):
            parse_settings([wrong], sections)


def test_toml_round_trip() -> None:
    import tomllib

    text = to_toml({"engine": Engine(name=None), "run": {"task": "denoise"}})
    assert tomllib.loads(text) == {"engine": {"speed": 1.0, "wheels": 4, "colour": "red"}, "run": {"task": "denoise"}}


def test_unknown_name_names_the_nearest_and_all() -> None:
    error = str(unknown_name("dataset", "modlenet10", ["modelnet10", "modelnet40", "digits"]))
    assert "did you mean 'modelnet10'" in error
    assert "digits" in error
    assert "did you mean" not in str(unknown_name("dataset", "zzzz", ["modelnet10"]))
