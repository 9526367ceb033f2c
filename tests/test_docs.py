"""The manual is true: its links lead somewhere, its commands are understood, its examples run.

Pages of ``WHOLE`` are gone through from the first block to the last, in one empty folder each, as a
reader would. To stay short, the tests add ``--max-minutes`` to a training that states no length,
and to a probe ``--seeds 1`` and ``--probes neighbours`` where it states none. ``make docs`` runs
the pages of ``LONG``. On the other pages commands are parsed by the real parser and their settings
looked up, and Python is run.
"""

import argparse
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import manual
import pytest
import typer

import spectral_ssl
from data_prep.sources.catalogue import SOURCES
from pretext.methods.catalogue import METHODS, find_method
from pretext.tasks.catalogue import TASKS, find_task
from pretext.training.config import TrainConfig
from spectral_ssl.cli import app as cli
from spectral_ssl.ground.config import (
    bare_key,
    build_config,
    flatten,
    merge_settings,
    parse_settings,
    setting_keys,
)
from spectral_ssl.planning.recipe import list_recipes, read_recipe

PAGES = {name: path.read_text(encoding="utf-8") for name, path in manual.PAGES.items()}
LONG = ("tutorial-parts", "tutorial-shapes", "tutorial-images", "faq", "spectral-maps")  # run by `make docs`
WHOLE = ("README", "tutorial-parts", "tutorial-shapes", "tutorial-images", "faq")
ELSEWHERE = ("everyday", "report")  # gone through by tests/face/test_everyday_page.py
SHORT = [  # what is added to a command that has none of the others
    ("pretrain", ["--max-minutes", "0.05"], {"--epochs", "--max-minutes", "--resume"}),
    ("probe", ["--seeds", "1"], {"--seeds"}),
    ("probe", ["--probes", "neighbours"], {"--probes"}),
]


def cases(first: str) -> list[Any]:
    """All commands of all pages that begin with a word, each once."""
    found = {
        (name, line.words): pytest.param(line, id=f"{name}: {' '.join(line.words)[:80]}")
        for name, text in PAGES.items()
        for line in manual.commands(text, first)
    }
    return list(found.values())


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in manual.links(PAGES[name]):
        if re.match(r"\w+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (manual.PAGES[name].parent / file).resolve() if file else manual.PAGES[name]
        assert path.exists(), target
        assert path.is_relative_to(manual.ROOT), target
        if anchor:
            assert anchor in manual.anchors(path.read_text(encoding="utf-8")), target


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = [line for block in manual.blocks(PAGES["index"]) if "toctree" in block.language for line in block.lines]
    pages = {path.stem for path in (manual.ROOT / "docs").glob("*.md")} - {"index"}
    assert pages == {line for line in listed if line and not line.startswith(":")}


def test_every_path_of_the_architecture_page_exists() -> None:
    table = re.findall(r"^\| .* \| `(\S+)` \|$", PAGES["architecture"], flags=re.MULTILINE)
    assert len(table) == 31
    for path in table:
        assert (manual.ROOT / path).is_file(), path


def parsed(words: tuple[str, ...]) -> dict[str, Any]:
    """What the real parser makes of a command, without its name; exits or raises where it does not understand."""
    at: Any = typer.main.get_command(cli.app)
    rest = list(words)
    while hasattr(at, "commands"):
        assert rest, "no command"
        if rest[0].startswith("-"):
            assert rest[0] in {name for option in at.params for name in option.opts}
            return {}
        assert rest[0] in at.commands, f"no command {rest[0]}"
        at = at.commands[rest.pop(0)]
    if "--help" in rest:
        return {}
    return at.make_context(words[0], rest).params


def configs_of(method: str | None, task: str | None, run: dict[str, str]) -> tuple[dict[str, type], bool]:
    """The configs that settings of a training go to, and whether the recipe's method is kept."""
    kept = method in (None, run.get("method"))
    method, task = method or run.get("method"), task or run.get("task")
    if method is None:
        method = find_task(task).method if task else "joint-embedding"
    task = task or ("views" if method == "joint-embedding" else find_method(method).task)
    return {"train": TrainConfig, "method": find_method(method).config, "task": find_task(task).config}, kept


@pytest.mark.parametrize("line", cases("spectral-ssl"))
def test_commands_and_their_settings_are_understood(line: manual.Command) -> None:
    if len(line.words) == 2:  # the name of a command in the text
        assert line.words[1].startswith("-") or line.words[1] in typer.main.get_command(cli.app).commands
        return
    options = parsed(line.words[1:])
    settings = list(options.get("settings") or ())
    for recipe in {options.get("recipe")} - {None, "NAME", "FILE.toml"}:
        assert recipe in list_recipes()
    if line.refused:  # what it says is seen where it is run
        return
    if line.words[1] != "pretrain":
        for setting in settings:
            is_a_setting(setting)
        return
    sections = read_recipe(options["recipe"]) if options["recipe"] in list_recipes() else {}
    names = {key: None if options[key] == "NAME" else options[key] for key in ("method", "task")}
    configs, kept = configs_of(names["method"], names["task"], sections.get("run", {}))
    if options["variant"]:
        settings.append(f"method.variant={options['variant']}")
    if any("KEY=VALUE" in setting.upper() for setting in settings):
        return
    texts = parse_settings(settings, configs)
    for section, config in configs.items():
        known = {bare_key(key) for key in setting_keys(config)}
        values = flatten(sections.get(section, {}))
        if not kept:
            values = {bare_key(key): value for key, value in values.items() if bare_key(key) in known}
        build_config(config, merge_settings(config, section, values, texts[section]), section)


def is_a_setting(setting: str) -> None:
    """Some method, task or the training has a setting of that name."""
    key = setting.partition("=")[0].rpartition(".")[2]
    configs = [TrainConfig, *(entry.config for entry in (*METHODS.values(), *TASKS.values()))]
    assert key in {bare_key(full) for config in configs for full in setting_keys(config)}, setting


@pytest.mark.parametrize("name", PAGES)
def test_settings_without_their_command_exist(name: str) -> None:
    text = re.sub(r".* # refused: .*", "", PAGES[name])
    for setting in re.findall(r"--set (\S+=\S+?)[`\s,;)]", text):
        if setting != "KEY=VALUE":
            is_a_setting(setting)


class Understood(Exception):
    """The parser of a benchmark took its arguments."""


@pytest.mark.parametrize("line", cases("python"))
def test_programs_take_these_arguments(line: manual.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    if line.words[1].startswith("-"):
        return
    path = manual.ROOT / line.words[1]
    assert path.is_file(), path
    monkeypatch.syspath_prepend(str(path.parent))
    arguments = ["WORKSPACE" if word == "..." else word for word in line.words[2:]]
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self: argparse.ArgumentParser, *given: Any, **named: Any) -> None:
        parse(self, *given, **named)
        raise Understood

    if not re.search(r"\bparse_args\b", path.read_text(encoding="utf-8")):
        assert not arguments or "sys.argv" in path.read_text(encoding="utf-8")
        return
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    with pytest.raises(Understood):
        runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("line", cases("make"))
def test_make_has_these_targets(line: manual.Command) -> None:
    makefile = (manual.ROOT / "Makefile").read_text(encoding="utf-8")
    for word in line.words[1:]:
        assert "=" in word or re.search(rf"^{word}:", makefile, flags=re.MULTILINE), word


def run_command(line: manual.Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Call the command line with a command's words, made short."""
    words = list(line.words[1:])
    for verb, added, others in SHORT:
        if words[0] == verb and not others.intersection(words):
            words += added
    monkeypatch.setattr(sys, "argv", ["spectral-ssl", *words])
    capsys.readouterr()
    try:
        cli.main()
        status: Any = 0
    except SystemExit as end:
        status = end.code or 0
    said = capsys.readouterr()
    if line.refused:
        assert status == 2, f"{words}: exit status {status}"
        assert line.refused in said.err
    else:
        assert status == 0, f"{words}: exit status {status}\n{said.out[-500:]}{said.err[-2000:]}"


@pytest.fixture
def _same_names() -> Iterator[None]:
    """What an example adds to the dicts of names is taken out again."""
    before: list[tuple[dict[str, Any], dict[str, Any]]] = [(known, dict(known)) for known in (METHODS, SOURCES, TASKS)]
    yield
    for known, entries in before:
        known.clear()
        known.update(entries)


@pytest.mark.usefixtures("_same_names")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.manual if name in LONG else ())
        for name in sorted(set(PAGES) - set(ELSEWHERE))
    ],
)
def test_examples_run(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    if name == "README":  # run by `make test`
        for shorter in ("few_shapes", "quick_probes"):
            request.getfixturevalue(shorter)
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SPECTRAL_SSL_HOME")
    names: dict[str, Any] = {"__name__": "__main__"}
    ran = 0
    for block in manual.blocks(PAGES[name]):
        if block.is_python:
            code = compile(block.text, f"{name}.md", "exec")
            if not re.match(r"# needs ", block.lines[0]):
                exec(code, names)
                ran += 1
        elif name in WHOLE:
            for text in block.lines:
                if text.startswith("spectral-ssl ") and not (line := manual.command(text)).needs:
                    run_command(line, monkeypatch, capsys)
                    ran += 1
    assert ran or name not in WHOLE


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("verb", [verb for verb in spectral_ssl.VERBS if verb != "list_names"]),
        ("method", list(METHODS)),
        ("task", list(TASKS)),
        ("recipe", list_recipes()),
        ("source", list(SOURCES)),
    ],
)
def test_the_manual_names_everything(kind: str, names: list[str]) -> None:
    code = "\n".join(
        line
        for text in PAGES.values()
        for line in (*manual.spans(text), *(line for block in manual.blocks(text) for line in block.lines))
    )
    for name in names:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code), f"{kind} {name}"
