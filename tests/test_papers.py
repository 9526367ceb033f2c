"""The list of the papers' tables and figures: each has a command that is understood, or a reason; its page is new."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from spectral_ssl.ground.run_folder import write_status
from spectral_ssl.planning.recipe import list_recipes
from tests import manual
from tests.test_benchmarks import read_arguments
from tests.test_docs import is_a_setting, parsed

SCRIPT = manual.ROOT / "benchmarks" / "papers.py"
NAMES = runpy.run_path(str(SCRIPT), run_name="imported")
ROWS = NAMES["read_rows"]()
COUNTS = {"cgml-table": 7, "cgml-figure": 20, "lsc-gan-table": 3, "lsc-gan-figure": 8, "mr-gan-table": 1}


def test_every_table_and_figure_has_a_row() -> None:
    for kind, count in COUNTS.items():
        numbers = [int(name.removeprefix(f"{kind}-")) for name in ROWS if re.fullmatch(rf"{kind}-\d+", name)]
        assert sorted(numbers) == list(range(1, count + 1)), kind
    assert {"mr-gan-appendix-c", "mr-gan-appendix-d", "mr-gan-appendix-f"} <= set(ROWS)
    assert all(name.startswith(tuple(NAMES["PAPERS"])) for name in ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_a_command_that_is_understood_or_a_reason(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[name]
    assert bool(row.command) != bool(row.reason)
    assert (row.minutes is not None) == any("MINUTES" in line for line in row.command)
    for words in NAMES["fill_in"](row, "a folder", 2.0):
        assert words[0] == "python"
        if words[1:3] == ["-m", "spectral_ssl"]:
            options = parsed(tuple(words[3:]))
            settings, recipe = options.get("settings") or (), options.get("recipe")
        else:
            arguments = vars(read_arguments(manual.ROOT / words[1], words[2:], monkeypatch))
            settings, recipe = arguments.get("set", ()), arguments.get("recipe")
        assert recipe is None or recipe in list_recipes()
        for setting in settings:
            is_a_setting(setting)
    for result in row.results:
        assert (NAMES["RESULTS"] / result).is_file()


def test_the_page_is_that_of_the_list() -> None:
    assert NAMES["PAGE"].read_text(encoding="utf-8") == NAMES["write_page"](ROWS), (
        "run: python benchmarks/papers.py page"
    )


def test_a_row_is_run_with_its_values_and_kept_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    program = 'python -c "import sys; print(sys.argv[1:]); sys.exit(int(sys.argv[1]))"'
    make: Any = NAMES["Row"]
    row = make(
        name="x", shows="", data="", minutes=3.0, command=(f"{program} 0 --out WORKSPACE/kept MINUTES", f"{program} 5")
    )
    place = tmp_path / "a b"
    assert NAMES["run"](row, place, 0.5) == 5
    assert f"['0', '--out', '{place}/kept', '0.5']" in capfd.readouterr().out
    (place / "kept").mkdir(parents=True)
    assert NAMES["run"](row, place, None) == 2
    assert "unfinished" in capfd.readouterr().out
    (place / "kept" / "config.toml").touch()
    write_status(place / "kept", "finished", 1, 1)
    assert NAMES["run"](row, place, None) == 5
    shown = capfd.readouterr().out
    assert f"kept: {place}/kept" in shown
    assert "['0'" not in shown
    for words, message in (
        (["run"], "name a row"),
        (["run", "cgml-tabel-2"], "did you mean"),
        (["run", "cgml-figure-1"], "has no command: a diagram"),
        (["run", "cgml-figure-3", "--minutes", "0"], "above 0"),
    ):
        monkeypatch.setattr(sys, "argv", ["papers.py", *words])
        with pytest.raises(SystemExit) as ended:
            NAMES["parse_arguments"]()
        assert ended.value.code == 2
        assert message in capfd.readouterr().err
