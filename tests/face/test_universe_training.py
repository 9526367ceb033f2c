"""Training on the universe by its name: what the name stands for, and a run by the command line."""

import json
from pathlib import Path

import pytest
from command_line import call
from universe_maps import COUNT, FRESH_TINY, write_universe

import spectral_ssl
from data_prep.maps.reader import open_maps
from pretext.runs.trained_run import load_run
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.choose_maps import choose_maps
from spectral_ssl.planning.defaults import choose_sections
from spectral_ssl.planning.new_run.universe import BATCH, FRESH, STEPS
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import plan_run


def test_the_name_stands_for_the_reference_file_and_new_shapes(tmp_path: Path) -> None:
    write_universe(tmp_path / "maps" / "universe-zernike.h5")
    plan, maps = plan_run(PretrainOptions("universe", workspace=tmp_path), Workspace(tmp_path))
    assert maps.path == tmp_path / "maps" / "universe-zernike.h5"
    assert (plan.method, plan.task) == ("joint-embedding", "views")
    assert (plan.train.data.fresh, plan.train.batch_size) == (FRESH, BATCH)
    steps = plan.train.epochs * FRESH // BATCH
    assert STEPS <= steps < STEPS + FRESH // BATCH
    for key in ("fresh", "data.fresh", "train.fresh", "train.data.fresh"):
        few, _ = plan_run(PretrainOptions("universe", settings=(f"{key}=1000",)), Workspace(tmp_path))
        assert (few.train.data.fresh, few.train.epochs) == (1000, STEPS // 8)
    completion, _ = plan_run(PretrainOptions("universe", task="complete-shape"), Workspace(tmp_path))
    assert (completion.method, completion.train.data.fresh) == ("cgml", FRESH)
    recipe, _ = plan_run(PretrainOptions("universe", recipe="joint-embedding", epochs=3), Workspace(tmp_path))
    assert (recipe.train.data.fresh, recipe.train.epochs) == (FRESH, 3)
    # the path of the file stands for its maps, and fresh=0 turns the stream off
    assert plan_run(PretrainOptions(maps.path), Workspace(tmp_path))[0].train.data.fresh == 0
    assert plan_run(PretrainOptions("universe", settings=("fresh=0",)), Workspace(tmp_path))[0].train.data.fresh == 0


def test_new_shapes_with_other_data_are_refused(shapes_file: Path, tmp_path: Path) -> None:
    universe = write_universe(tmp_path / "u.h5")
    shapes = open_maps(shapes_file)
    with pytest.raises(UserError, match=r"universe only: got train\.fresh = 9 with maps of 'shapes'; give --data univ"):
        plan_run(PretrainOptions(shapes, settings=("fresh=9",)), Workspace(tmp_path))
    options = PretrainOptions(universe, task="from-code", features="none", settings=("fresh=9",))
    with pytest.raises(UserError, match="needs all maps before the training"):
        plan_run(options, Workspace(tmp_path))
    assert "train" not in choose_sections(shapes, "regression")


def test_the_reference_file_is_nobodys_main_data(shapes_file: Path, tmp_path: Path) -> None:
    write_universe(tmp_path / "maps" / "universe-zernike.h5")
    assert choose_maps(Workspace(tmp_path)).source == "universe"  # there is no other
    (tmp_path / "maps" / "mine.h5").write_bytes(shapes_file.read_bytes())
    assert choose_maps(Workspace(tmp_path)).path.name == "mine.h5"


@pytest.mark.usefixtures("figures")
def test_a_run_by_the_command_line_with_estimate_and_report(tmp_path: Path) -> None:
    path = write_universe(tmp_path / "workspace" / "maps" / "universe-zernike.h5").path
    settings = [word for text in FRESH_TINY for word in ("--set", text)]
    command = ("pretrain", "--data", "universe", *settings, "--epochs", "2", "--out", str(tmp_path / "run"))
    dry = call(*command, "--dry-run", folder=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert "pretrain joint-embedding on views: new shapes of the universe, 20 an epoch\n" in dry.stdout
    assert "2 epochs of batches of 8: 6 steps" in dry.stdout
    done = call(*command, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    line = "training joint-embedding on views: new shapes of the universe, 20 an epoch, in"
    assert line in " ".join(done.stderr.split())
    assert "40 new shapes of the universe, each used once" in (tmp_path / "run" / "report.html").read_text()
    assert spectral_ssl.show_run(tmp_path / "run")["data"] == str(path.resolve())
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"
    assert load_run(tmp_path / "run").encode(open_maps(path)).shape[0] == COUNT
