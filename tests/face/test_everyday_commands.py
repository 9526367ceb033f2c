"""What a user finds on every command: --json, --quiet, completion, the nearest name, instructions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from conftest import write_random_maps
from typer.testing import CliRunner

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.remarks import list_slow_choices
from data_prep.sources.catalogue import SOURCES
from pretext.methods.catalogue import METHODS
from pretext.tasks.catalogue import TASKS
from spectral_ssl.cli.app import app
from spectral_ssl.cli.options import complete_method, complete_recipe, complete_run, complete_task
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import quiet, say
from spectral_ssl.planning.recipe import list_recipes

TINY = ("--method", "cgml", "--set", "steps=2", "--set", "width=4", "--set", "code=8", "--set", "hidden=8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("everyday")
    (folder / "ws" / "maps").mkdir(parents=True)
    maps = write_random_maps(folder / "ws" / "maps" / "mine.h5", zernike_basis(4), train=60, test=30)
    settings = [part for part in TINY[2:] if part != "--set"]
    with quiet():
        spectral_ssl.pretrain(maps, method="cgml", epochs=1, settings=settings, out=folder / "ws" / "runs" / "first")
    return folder


@pytest.fixture(autouse=True)
def _here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(home / "ws"))
    monkeypatch.chdir(home)


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "list datasets",
        "list datasets modelnet10",
        "list methods",
        "list tasks",
        "list recipes",
        "list runs",
        "list maps",
        "list layers",
        "runs list",
        "runs show",
        "probe --seeds 1 --probes neighbours",
        "evaluate --count 4 --modes 2",
        "verify ws/maps/mine.h5",
        "neighbors object-3",
        "pretrain --epochs 0 --out more " + " ".join(TINY),
        "prep --dataset digits",
        "cluster features.h5 --neighbours",
    ],
)
def test_what_is_printed_as_text_is_also_had_as_json(command: str) -> None:
    if command.startswith("cluster"):
        spectral_ssl.export(out="features.h5")
    done = CliRunner().invoke(app, [*command.split(), "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)  # and nothing but JSON


def test_quiet_commands_say_results_only_and_errors_still() -> None:
    done = call("pretrain", "--epochs", "1", "--out", "quiet", *TINY, "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("quiet: trained to epoch 1")
    done = call("export", "-q", "--run", "fisrt")
    assert done.returncode == 2
    assert "did you mean 'first'" in done.stderr


def test_quiet_ends_with_its_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["runs", "list"], ["export", "--run", "first", "--out", "a.h5"]):
        assert CliRunner().invoke(app, [*command, "--quiet"]).exit_code == 0
        say("heard")
        assert capsys.readouterr().err == "heard\n"


def test_the_shell_completes_names_without_waiting_for_torch(home: Path) -> None:
    script = "\n".join(
        (
            "import sys, atexit",
            "sys.argv = ['spectral-ssl']",
            "atexit.register(lambda: print('torch' in sys.modules))",
            "from spectral_ssl.cli.app import main",
            "main()",
        )
    )
    environment = {**os.environ, "COMP_WORDS": "spectral-ssl pretrain --method joint-", "COMP_CWORD": "3"}
    environment["_SPECTRAL_SSL_COMPLETE"] = "complete_bash"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["joint-embedding", "joint-cgml", "False"], done.stderr


def test_completion_knows_all_names() -> None:
    assert complete_method("") == list(METHODS)
    assert complete_task("") == list(TASKS)
    assert complete_recipe("") == list_recipes()
    assert complete_run("fi") == ["first"]
    assert complete_run("x") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_given(shell: str) -> None:
    script = "import sys; sys.argv = ['spectral-ssl']\nfrom spectral_ssl.cli.app import main; main()"
    environment = {**os.environ, "_SPECTRAL_SSL_COMPLETE": f"source_{shell}"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert f"complete_{shell}" in done.stdout, done.stderr


@pytest.mark.parametrize("name", [name for name, entry in SOURCES.items() if entry.needs_root])
def test_a_data_set_that_is_missing_gets_instructions(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        spectral_ssl.prep(name, workspace=tmp_path)
    assert f"list datasets {name}" in str(caught.value)
    assert len(caught.value.do) > 40


def test_a_target_that_is_missing_gets_instructions_for_a_probe(home: Path) -> None:
    with pytest.raises(
        UserError, match=r"no folder .*modelnet10; put it there, or a link to it; --root .* of `spectral-"
    ):
        spectral_ssl.probe("modelnet10", run="first")


@pytest.mark.parametrize("group", [[], ["runs"], ["study"]])
def test_what_a_command_does_is_said_to_the_end_of_its_line(group: list[str]) -> None:
    lines = CliRunner().invoke(app, [*group, "--help"], terminal_width=80).stdout.partition("Commands:")[2].splitlines()
    assert len(lines) > 3
    assert [line for line in lines if line.endswith("...")] == []


def test_where_there_is_no_run_yet_it_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["runs", "list", "--workspace", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "`spectral-ssl pretrain` makes one" in done.stderr


def test_slow_choices_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from data_prep.sources.catalogue import open_source

    monkeypatch.setattr("os.cpu_count", lambda: 8)
    shapes = open_source("shapes")
    assert list_slow_choices(shapes, zernike_basis(4), None) == []
    assert "all 8 cores" in list_slow_choices(shapes, zernike_basis(4), 0)[0]
    assert "--sampling area" in list_slow_choices(shapes, replace(zernike_basis(4), sampling="farthest"), None)[0]


def test_a_run_encodes_whatever_holds_maps(home: Path, random_maps: MapFile) -> None:
    run = spectral_ssl.load_run(home / "ws" / "runs" / "first")
    maps = spectral_ssl.open_maps(home / "ws" / "maps" / "mine.h5")
    wanted = run.encode(maps.read())
    np.testing.assert_array_equal(run.encode(torch.from_numpy(maps.read())), wanted)
    np.testing.assert_array_equal(run.encode(maps.read().astype(np.float64)), wanted)
    np.testing.assert_allclose(run.encode(maps), wanted, rtol=1e-5, atol=1e-6)
    for wrong in (maps.read()[0], maps.read()[:0], np.zeros((2, 9, 9, 9))):
        with pytest.raises(UserError, match=r"maps \(N, 3, 5, 5\)"):
            run.encode(wrong)
    with pytest.raises(UserError, match="another basis"):
        run.encode(random_maps)


@pytest.mark.usefixtures("few_shapes")
def test_verbs_take_their_arguments_by_place_and_by_name(tmp_path: Path) -> None:
    import spectral_ssl as ssl

    small = {"degree": 4, "points": 32, "workspace": tmp_path}
    maps = ssl.prep("shapes", **small)
    again = ssl.prep(dataset="shapes", out=tmp_path / "again.h5", **small)
    assert maps.digest == again.digest
    settings = ("width=4", "code=8", "projector=16", "grid=8", "task.points=16")
    first = ssl.pretrain(maps, epochs=0, settings=settings, workspace=tmp_path)
    second = ssl.pretrain(data=again, epochs=0, settings=settings, workspace=tmp_path)
    x = maps.read(maps.rows("test"))
    np.testing.assert_array_equal(first.encode(x), second.encode(objects=x))
    assert ssl.probe(target=maps, run=first, seeds=1, probes=("neighbours",), workspace=tmp_path)["rows"]
    assert ssl.export(run=first, data=maps, workspace=tmp_path).is_file()
