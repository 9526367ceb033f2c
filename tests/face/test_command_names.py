"""Names of commands that do not exist, and lists that fit a terminal of 80 columns."""

import re
from pathlib import Path

import pytest
from command_line import call
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis
from spectral_ssl.cli.tables import print_entries
from spectral_ssl.ground.files import write_text

LONG = "20261127-114347-joint-embedding-picture-views-of-all-my-photographs"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("encode --run x", "got 'encode'; `spectral-ssl embed` does it"),
        ("train", "got 'train'; `spectral-ssl pretrain` does it"),
        ("pretrian", "got 'pretrian'; did you mean 'pretrain'?"),
        ("neighbours x", "got 'neighbours'; `spectral-ssl neighbors` does it"),
        ("xyzzy", "got 'xyzzy'; choose one of: embed, prep, pretrain, "),
    ],
)
def test_a_name_that_is_no_command_gets_one_line_with_a_hint(words: str, hint: str) -> None:
    ended = call(*words.split())
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert f"no such command: {hint}" in ended.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pretrain MAPS.h5", "unexpected extra argument(s) (MAPS.h5); did you mean `--data MAPS.h5`?"),
        ("probe MAPS.h5", "unexpected extra argument(s) (MAPS.h5); did you mean `--target MAPS.h5`?"),
        ("export a b", "unexpected extra argument(s) (a b); see `spectral-ssl export --help`"),
        ("pretrain --epochs ten", "got --epochs ten (Invalid value for '--epochs': "),
        ("pretrain --epochs=1.5", "got --epochs 1.5 (Invalid value for '--epochs': "),
        ("runs show --bogus", "No such option: --bogus; see `spectral-ssl runs show --help`"),
        ("--bogus", "No such option: --bogus"),
        ("probe --seeds", "--seeds"),
    ],
)
def test_options_that_cannot_be_parsed_get_one_line(words: str, expected: str) -> None:
    ended = call(*words.split())
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("spectral-ssl: wrong options: got ")
    assert expected in ended.stderr


def test_commands_in_advice_quote_paths() -> None:
    advice = call("report", "my run").stderr
    assert "write --run 'my run' for one run, or --compare RUN RUN for several" in advice


def test_commands_without_arguments_show_their_help() -> None:
    for words in ((), ("runs",), ("--help",), ("export", "--help")):
        shown = call(*words)
        assert "Usage: spectral-ssl" in shown.stdout + shown.stderr
        assert "wrong options" not in shown.stderr
    assert "WS: folder of raw data" in " ".join(call("export", "--help").stdout.split())


@pytest.mark.parametrize("columns", [80, 70])
def test_lists_fit_the_terminal(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(tmp_path)
    home = Path("workspace")
    for name in ("first", LONG):
        settings = "[run]\nmethod = 'joint-embedding'\ntask = 'picture-views'\ndata = 'a/photographs-pixels.h5'\n"
        write_text(home / "runs" / name / "config.toml", f"{settings}[train]\nepochs = 1234567\n")
        write_text(home / "runs" / name / "status.json", '{"state": "finished", "epoch": 1234567, "step": 9}')
    (home / "maps").mkdir()
    write_random_maps(home / "maps" / "photographs-pixels.h5", pixel_basis(1, 2, 2))
    listed = spectral_ssl.list_names(workspace=home)
    for words in (["list"], ["runs", "list"], *(["list", kind] for kind in listed)):
        shown = call(*words, workspace=home).stdout
        assert max(map(len, shown.splitlines())) <= columns, shown
        assert "…" not in shown
        flat = re.sub(r"\s+", " ", shown)  # nothing is left out, and no number is broken
        for kind in listed if words == ["list"] else words[1:]:
            for name, description in listed.get(kind, {}).items():
                assert name in flat
                if kind not in ("runs", "maps"):
                    assert description in flat
        if "runs" in words:
            assert LONG in flat
            assert "1234567" in flat


def test_a_word_that_is_longer_than_a_line_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_entries("things", {"a": f"see {100 * 'x'} there", "b" * 39: "", "c": "short"})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["things:", "  a see", f"    {100 * 'x'}", "    there", f"  {'b' * 39}", "  c short"]
    print_entries("things", {})
    assert capsys.readouterr().out == "things: none\n"
