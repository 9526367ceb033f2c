"""The toy as a user runs it: trained by its recipe, evaluated beside L1, drawn."""

import json
from pathlib import Path

import pytest

import spectral_ssl
from spectral_ssl.ground.errors import UserError

FAST = ("steps=8", "batch_size=64")


@pytest.fixture(scope="module")
def toy_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("toy")
    names = ("cgml", "regression")
    made = [
        spectral_ssl.pretrain(
            recipe="toy",
            method=name,
            epochs=15,
            settings=FAST[1:] if name == "regression" else FAST,
            out=home / name,
            workspace=home,
        ).folder
        for name in names
    ]
    return made[0], made[1]


def test_l1_answers_with_the_middle_and_cgml_does_not(toy_runs: tuple[Path, Path]) -> None:
    result = spectral_ssl.evaluate(toy_runs[0], beside=[toy_runs[1]], count=200, modes=10)
    rows = {row["answers"]: row for row in result["rows"]}
    assert set(rows) == {
        "cgml, random z",
        "cgml, z moved by Z",
        "cgml, oracle z (sees the truth: upper bound)",
        "regression",
    }
    # L1 alone lies between the modes; the oracle is the best of all
    assert rows["regression"]["phantom"] > 0.5
    assert rows["cgml, z moved by Z"]["phantom"] < 0.3
    oracle = rows["cgml, oracle z (sees the truth: upper bound)"]
    assert oracle["error"] < min(row["error"] for row in rows.values() if row is not oracle)
    written = json.loads(Path(result["path"]).read_text())
    assert [row["answers"] for row in written["rows"]] == list(rows)
    assert written["environment"]["packages"]["torch"]
    assert (toy_runs[0] / "samples" / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_a_flow_is_evaluated_and_drawn_too(tmp_path: Path) -> None:
    settings = ("dynamics=flow", "steps=4", "batch_size=64")
    run = spectral_ssl.pretrain(recipe="toy", epochs=2, settings=settings, workspace=tmp_path)
    rows = spectral_ssl.evaluate(run, count=50, modes=4)["rows"]
    assert [row["answers"] for row in rows][:2] == ["cgml, random z", "cgml, z moved by Z"]
    assert rows[0]["error"] != rows[1]["error"]
    assert (run.folder / "samples" / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_other_tasks_and_data_are_refused(
    toy_runs: tuple[Path, Path], shapes_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="basis"):
        spectral_ssl.evaluate(toy_runs[0], data=shapes_file)
    with pytest.raises(UserError, match="images of one pixel"):
        spectral_ssl.pretrain(shapes_file, task="toy", workspace=tmp_path)
    with pytest.raises(UserError, match="count out of range"):
        spectral_ssl.evaluate(toy_runs[0], count=0)


@pytest.mark.slow
def test_the_recipe_reaches_both_modes_and_nothing_between(tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(recipe="toy", workspace=tmp_path)
    row = spectral_ssl.evaluate(run, count=400, modes=50)["rows"][1]
    assert row["answers"] == "cgml, z moved by Z"
    assert row["within 0.3 of a mode"] >= 0.99
    assert row["phantom"] < 0.005
    assert 0.45 <= row["share of the positive mode"] <= 0.55
