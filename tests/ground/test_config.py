"""Configs: unknown keys and bad values are one line with what to do, in groups of settings too."""

import tomllib
from dataclasses import dataclass, field
from typing import Literal

import pytest

from spectral_ssl.ground.config import (
    build_config,
    check_ranges,
    flatten,
    merge_settings,
    parse_settings,
    setting_keys,
    to_toml,
    within,
)
from spectral_ssl.ground.errors import UserError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Engine:
    speed: float = field(default=1.0, metadata=within(0, 10))
    wheels: int = field(default=4, metadata=within(2, 6))
    colour: Literal["red", "blue"] = "red"
    name: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "engine")


@dataclass(frozen=True, kw_only=True)
class Boat:
    speed: float = 2.0
    masts: int = 1


@dataclass(frozen=True, kw_only=True)
class Sails:
    area: float = field(default=5.0, metadata=within(0.5, 100, or_zero=True))
    smallest: float = field(default=1.0, metadata=within(0, "area"))

    def __post_init__(self) -> None:
        check_ranges(self, "ship.sails")


@dataclass(frozen=True, kw_only=True)
class Hull:
    length: int = field(default=12, metadata=within(1, 400))
    depth: float | None = field(default=None, metadata=within(0, 20))  # no check of its own: build_config has one


@dataclass(frozen=True, kw_only=True)
class Mast:
    length: int = 3


@dataclass(frozen=True, kw_only=True)
class Ship:
    crew: int = field(default=3, metadata=within(1, 1000))
    sails: Sails = Sails()
    hull: Hull = Hull()
    mast: Mast = Mast()

    def __post_init__(self) -> None:
        check_ranges(self, "ship")


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


@pytest.mark.parametrize(
    "values",
    [
        {"crew": 4, "area": "9", "depth": 2},
        {"crew": 4, "sails": {"area": 9}, "hull": {"depth": "2"}},
        {"crew": "4", "sails.area": 9, "hull.depth": 2.0},
    ],
    ids=["bare keys", "tables", "full keys"],
)
def test_settings_of_groups_are_found_by_bare_key_table_and_full_key(values: dict[str, object]) -> None:
    assert build_config(Ship, values, "ship") == Ship(crew=4, sails=Sails(area=9.0), hull=Hull(depth=2.0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"are": 3}, ["'are'", "[ship]", "did you mean 'area'"]),
        ({"sails": {"arae": 3}}, ["'sails.arae'", "did you mean 'sails.area'"]),
        ({"sail": {"area": 3}}, ["'sail.area'", "did you mean 'sails.area'"]),
        ({"sails": 3}, ["'sails'"]),
        (tomllib.loads(f"{'sails.' * 5000}area = 3"), ["nested too deeply", "'sails'"]),
        ({"length": 3}, ["ambiguous", "ship.length", "ship.hull.length or ship.mast.length"]),
        ({"area": 3, "sails": {"area": 4}}, ["twice", "ship.sails.area"]),
        ({"area": "much"}, ["ship.sails.area", "much"]),
        ({"area": "nan"}, ["ship.sails.area out of range", "nan"]),
        ({"area": 0.2}, ["ship.sails.area out of range", "0.2", "from 0.5 to 100"]),
        ({"smallest": 6}, ["ship.sails.smallest out of range", "got 6", "from 0 to 5"]),
        ({"smallest": 6, "area": 200}, ["ship.sails.area"]),
        ({"depth": 21}, ["ship.hull.depth out of range", "from 0 to 20"]),
    ],
)
def test_mistakes_in_groups_name_the_full_key(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        build_config(Ship, values, "ship")
    for word in words:
        assert word in str(caught.value)


def test_direct_construction_is_checked() -> None:
    with pytest.raises(UserError, match=r"ship\.sails\.area out of range"):
        Sails(area=float("nan"))
    with pytest.raises(UserError, match=r"ship\.hull\.length out of range"):
        Ship(hull=Hull(length=0))
    assert Sails(area=0.0, smallest=0.0).area == 0.0


def test_settings_find_their_section() -> None:
    sections = {"engine": Engine, "boat": Boat}
    found = parse_settings(["wheels=3", "boat.speed=1", "masts = 2"], sections)
    assert found == {"engine": {"wheels": "3"}, "boat": {"speed": "1", "masts": "2"}}
    for wrong, word in (
        ("speed=1", "ambiguous"),
        ("mast=1", "masts"),
        ("wheels", "key=value"),
        ("car.speed=1", "section"),
        ("boat.mast=1", "did you mean 'masts'"),
    ):
        with pytest.raises(UserError, match=word):
            parse_settings([wrong], sections)


@pytest.mark.parametrize("setting", ["area=7", "sails.area=7", "ship.area=7", "ship.sails.area=7"])
def test_settings_find_their_group(setting: str) -> None:
    sections = {"engine": Engine, "ship": Ship}
    assert parse_settings(["area=2", setting], sections) == {"engine": {}, "ship": {"sails.area": "7"}}
    with pytest.raises(UserError, match=r"ship\.hull\.length or ship\.mast\.length"):
        parse_settings(["length=7"], sections)


def test_a_later_source_overrides_the_ones_before_however_its_keys_are_written() -> None:
    merged = merge_settings(Ship, "ship", {"crew": 1, "area": 2}, {"sails": {"area": 3}}, {"sails.area": "4"})
    assert merged == {"crew": 1, "sails.area": "4"}


def test_toml_round_trip() -> None:
    text = to_toml({"engine": Engine(name=None), "run": {"task": "denoise"}})
    assert tomllib.loads(text) == {"engine": {"speed": 1.0, "wheels": 4, "colour": "red"}, "run": {"task": "denoise"}}


def test_groups_are_written_as_tables_and_read_back() -> None:
    ship = Ship(crew=9, sails=Sails(area=7.5))
    text = to_toml({"ship": ship})
    assert "[ship.sails]\n" in text
    table = tomllib.loads(text)["ship"]
    assert "depth" not in table["hull"]
    assert build_config(Ship, table, "ship") == ship
    assert set(flatten(table)) == set(setting_keys(Ship)) - {"hull.depth"}


def test_unknown_name_names_the_nearest_and_all() -> None:
    error = str(unknown_name("dataset", "modlenet10", ["modelnet10", "modelnet40", "digits"]))
    assert "did you mean 'modelnet10'" in error
    assert "digits" in error
    assert "did you mean" not in str(unknown_name("dataset", "zzzz", ["modelnet10"]))
