"""The benchmarks are not run by the tests, but a renamed function or option must not break them unseen.

The usage lines are those of the docstrings and of the Makefile. ``tests/test_docs.py`` checks those
of the manual.
"""

import argparse
import ast
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from spectral_ssl.cli import app as cli
from spectral_ssl.planning.recipe import list_recipes
from tests import manual
from tests.test_docs import is_a_setting

FOLDER = manual.ROOT / "benchmarks"
BENCHMARKS = sorted(FOLDER.glob("*.py"))


def find_usage_lines(text: str) -> list[list[str]]:
    """Find the commands of a text: indented lines, and spans of code that may go on in the next line."""
    spans = [" ".join(span.split()) for span in re.findall(r"``([^`]+)``", text)]
    lines = [line.strip() for line in text.splitlines() if line.startswith((" ", "\t"))]
    commands = [re.sub(r"^.*?(?=\bpython benchmarks/)", "", line) for line in (*spans, *lines)]
    return [
        shlex.split(line, comments=True)
        for line in commands
        if line.startswith(("python benchmarks/", "spectral-ssl "))
    ]


TEXTS = {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) for path in BENCHMARKS}
TEXTS["Makefile"] = (manual.ROOT / "Makefile").read_text(encoding="utf-8").replace("$(BIN)/", "")
LINES = [(name, words) for name, text in TEXTS.items() for words in find_usage_lines(text or "")]


class Understood(Exception):
    """The parser of a benchmark accepted its arguments."""


def read_arguments(path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """Let a benchmark read its command line, and stop it before it does anything."""
    monkeypatch.syspath_prepend(str(path.parent))
    names = runpy.run_path(str(path), run_name="imported")
    monkeypatch.setattr(sys, "argv", [str(path), *words])
    if "parse_arguments" in names:  # It has checks after the parser's own.
        return names["parse_arguments"]()
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        raise Understood(parse(self, *given, **named))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    with pytest.raises(Understood) as caught:
        names["main"]()
    return caught.value.args[0]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_finds_all_that_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(path.parent))  # as when it is run as a script
    names = runpy.run_path(str(path), run_name="imported")
    assert callable(names["main"])


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_says_how_to_run_it(path: Path) -> None:
    programs = [words[1] for name, words in LINES if name == path.stem]
    assert f"benchmarks/{path.name}" in programs


@pytest.mark.parametrize(("name", "words"), LINES, ids=[" ".join(words[1:5]) for _, words in LINES])
def test_a_usage_line_is_understood(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] == "spectral-ssl":
        command = typer.main.get_command(cli.app)
        rest = words[1:]
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        command.make_context("spectral-ssl", rest, resilient_parsing=False)
        return
    path = manual.ROOT / words[1]
    assert path.is_file()
    arguments = vars(read_arguments(path, words[2:], monkeypatch))
    if "recipe" in arguments:
        assert arguments["recipe"] in list_recipes()
    for key in ("set", "set_cgml", "ask"):
        for setting in arguments.get(key, ()):
            is_a_setting(setting)
    for word in words[2:]:
        if word.startswith(("benchmarks/", "docs/")):
            assert (manual.ROOT / word).exists()


def test_what_a_benchmark_cannot_do_ends_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, message in (
        ("latent_space_gan.py main --data MAPS", "give --features"),
        ("latent_space_gan.py ablation --data MAPS --features E --cells adversarial", "unknown cell"),
        ("latent_space_gan.py robustness --data MAPS --cells adv", "unknown cell"),
        ("moment_gan.py pictures --task inpaint --cells gaussian-mr9", "unknown cell"),
        ("study.py --threads 1", "--data and --workspace"),
        ("completion_table.py toys", "unknown result"),
    ):
        name, *words = line.split()
        with pytest.raises(SystemExit) as ended:
            read_arguments(FOLDER / name, words, monkeypatch)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
