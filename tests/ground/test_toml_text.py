"""TOML texts of somebody else: limits before the parser, and that they forbid nothing usual."""

import tomllib
from pathlib import Path

import pytest

import spectral_ssl
from data_prep.maps.reader import MapFile
from pretext.runs.plan import Plan
from spectral_ssl.ground.config import MOST_NESTED, MOST_PARTS, parse_toml
from spectral_ssl.ground.errors import UserError
from spectral_ssl.planning.recipe import list_recipes, read_recipe

LONG = ".".join("a" * 50_000)
QUOTES, SINGLE = '"' * 3, "'" * 3
BOMBS = {
    "dotted key": f"{LONG} = 1",
    "with spaces": f"{' . '.join('a' * 20_000)} = 1",
    "header": f"[{LONG}]",
    "array of tables": f"[[{LONG}]]",
    "quoted": ".".join(['"a"'] * 20_000) + " = 1",
    "quoted with dots": ".".join(["'a.b'"] * 20_000) + " = 1",
    "in an inline table": "x = {" + LONG + " = 1}",
    "after a string": f'a = "#"\n{LONG} = 1',
    "after an escape": f'a = "\\"#"\n{LONG} = 1',
    "after a long string": f'a = """ " # """\n{LONG} = 1',
    "after four quotes": "x = [" + QUOTES + "a" + QUOTES + '", ' + "[" * 40 + "]" * 40 + "]",
    "after five quotes": "x = [" + SINGLE + "a" + SINGLE + "'', {" + LONG + " = 1}]",
    "lists": "a = " + "[" * 50_000,
    "tables": "a = " + "{b = " * 20_000,
    "length": "# " + "x" * 2**20,
}
FINE = {
    "dots in values": 'a = "' + "b." * 1000 + '"\n',
    "dots in comments": "# " + "b." * 1000 + "\na = 1.5\n",
    "literal": "a = '" + "[{" * 500 + "'\n",
    "long strings": 'a = """\n' + "b.c" * 100 + '\n\\""" [[[[ """\nb = \'\'\'\n[' + "[" * 99 + "''' # x\n",
    "quotes at the end": f'a = {QUOTES}b{QUOTES}"\nc = {QUOTES}d{QUOTES}""\ng = {QUOTES}h"i""j{QUOTES}\n',
    "single quotes at the end": f"e = {SINGLE}f{SINGLE}'\ng = {SINGLE}h''i{SINGLE}''\n",
    "empty strings": f"a = \"\"\nb = ''\nc = {QUOTES}{QUOTES}\n",
    "sixteen parts": ".".join("a" * MOST_PARTS) + " = 1\n",
    "nested": "a = " + "[" * MOST_NESTED + "]" * MOST_NESTED + "\n",
    "dates": "a = 2020-01-01T10:00:00.123Z\nb = [1.5, -2.5e-3, inf]\n",
    "many keys": "".join(f"[t{number}]\na.b = 1\n" for number in range(2000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_texts_that_take_much_memory_are_refused(name: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match=r"parts|within each other|characters"):
        parse_toml(BOMBS[name])


@pytest.mark.parametrize("name", FINE)
def test_what_is_usual_is_read_as_by_tomllib(name: str) -> None:
    assert parse_toml(FINE[name]) == tomllib.loads(FINE[name])


@pytest.mark.parametrize(
    "text", ['a = "', 'a = """', "a = '''", 'a = "x\n', "a = [1", '"""' * 20_001, "'''\n" * 9999, '"' * 100_001]
)
def test_unfinished_strings_are_read_once(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(text)


@pytest.mark.parametrize(
    "text", ["a" * 2**20, 'x="' + 'a\\"' * 300_000 + "\\", "a " * 2**19, "a." * 8 * 60_000, '"' * 2**20, "'" * 2**20]
)
def test_texts_of_the_largest_size_are_read_once(text: str) -> None:
    """A check that reads a text again from every character would take hours here."""
    with pytest.raises(tomllib.TOMLDecodeError):
        parse_toml(text)


def test_recipes_and_runs_of_such_texts_are_one_line(random_maps: MapFile, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(BOMBS["dotted key"])
    with pytest.raises(UserError, match="a key of more than 16 parts"):
        spectral_ssl.pretrain(random_maps, recipe=str(tmp_path / "a.toml"))
    with pytest.raises(ValueError, match="a key of more than 16 parts"):
        Plan.from_toml(BOMBS["header"])  # as it stands in a checkpoint
    run = tmp_path / "runs" / "a"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.toml").write_text(BOMBS["dotted key"])
    (run / "status.json").write_text("{}")
    with pytest.raises(UserError, match=r"not a run folder.*more than 16 parts"):
        spectral_ssl.show_run(run)


def test_all_recipes_are_within_the_limits() -> None:
    assert all(read_recipe(name) for name in list_recipes())
