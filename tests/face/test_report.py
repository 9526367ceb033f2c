"""The verb ``report``, and the reports that training and probing leave behind."""

import functools
from pathlib import Path

import pytest
from command_line import call
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=8", "hidden=8", "steps=2", "batch_size=16")


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> None:
    """Here the figures are drawn."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the same maps."""
    home = tmp_path_factory.mktemp("runs")
    maps = write_random_maps(home / "maps.h5", zernike_basis(4))
    return [
        spectral_ssl.pretrain(
            maps, method="cgml", epochs=1, seed=seed, settings=TINY, out=home / f"run-{seed}", workspace=home
        ).folder
        for seed in (0, 1)
    ]


def test_training_and_probing_leave_a_report(runs: list[Path]) -> None:
    first = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "This is the short report" in first
    assert 'id="answers"' in first
    assert "Not probed yet" in first
    spectral_ssl.probe(run=runs[0], seeds=1, probes=["neighbours"], workspace=runs[0].parent)
    second = (runs[0] / "report.html").read_text(encoding="utf-8")
    assert "10 neighbours" in second
    assert "Not probed yet" not in second


def test_a_whole_report_is_not_replaced_by_a_short_one(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = spectral_ssl.report(runs[1], workspace=runs[1].parent)
    assert path == runs[1] / "report.html"
    before = path.read_bytes()
    spectral_ssl.probe(run=runs[1], seeds=1, probes=["neighbours"], workspace=runs[1].parent)
    assert path.read_bytes() == before
    assert "is kept as it is" in capsys.readouterr().err
    # one step later it is out of date
    spectral_ssl.pretrain(resume=runs[1], epochs=2, workspace=runs[1].parent)
    assert "This is the short report" in path.read_text(encoding="utf-8")


def test_who_wants_none_gets_none(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = spectral_ssl.pretrain(
        runs[0].parent / "maps.h5", method="cgml", epochs=0, settings=TINY, out=tmp_path / "run", report=False
    )
    neighbours = functools.partial(spectral_ssl.probe, seeds=1, probes=["neighbours"])
    neighbours(run=run, report=False)
    assert not (run.folder / "report.html").exists()
    (result,) = run.folder.glob("probe-*.json")
    # the default probes take their time
    monkeypatch.setattr("spectral_ssl.verbs.runs.report.probe_run", neighbours)
    written = result.stat().st_mtime_ns
    spectral_ssl.report(run, probe=True, out=tmp_path / "one.html")  # was probed: nothing to do
    assert result.stat().st_mtime_ns == written
    result.unlink()
    spectral_ssl.report(run, probe=True, out=tmp_path / "two.html")
    assert "10 neighbours" in (tmp_path / "two.html").read_text(encoding="utf-8")


def test_runs_side_by_side(runs: list[Path], tmp_path: Path) -> None:
    path = spectral_ssl.report(compare=runs, out=tmp_path / "both.html")
    text = path.read_text(encoding="utf-8")
    for part in ("runs", "learning", "answers", "settings", "reproduce"):
        assert f'id="{part}"' in text
    assert "1: run-0, prediction 1" in text
    assert "2: run-1, prediction 1" in text  # the same maps and the same corruption
    assert "train.seed" in text
    assert "train.batch_size" not in text[text.index('id="settings"') : text.index('id="reproduce"')]


def test_the_command_line_takes_runs_to_compare_one_after_the_other(runs: list[Path], tmp_path: Path) -> None:
    done = call("report", "--compare", *runs, "--out", "both.html", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "both.html"
    assert (tmp_path / "both.html").is_file()
    done = call("report", runs[0], folder=tmp_path)
    assert done.returncode == 2
    assert "or --compare RUN RUN for several" in done.stderr


@pytest.mark.parametrize("given", [{"compare": 1}, {"compare": 9}, {"compare": 2, "run": "x"}])
def test_what_cannot_be_compared_is_said(runs: list[Path], given: dict[str, int | str]) -> None:
    compare = [runs[0]] * int(given["compare"])
    with pytest.raises(UserError):
        spectral_ssl.report(given.get("run"), compare=compare)  # type: ignore[arg-type]


def test_another_file_is_not_replaced(runs: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "thesis.html"
    other.write_text("<html>years of work</html>", encoding="utf-8")
    with pytest.raises(UserError, match="another file"):
        spectral_ssl.report(runs[0], out=other)
    assert "years of work" in other.read_text(encoding="utf-8")
    with pytest.raises(UserError, match="folder"):
        spectral_ssl.report(runs[0], out=tmp_path)


def test_a_damaged_result_is_named(runs: list[Path], tmp_path: Path) -> None:
    damaged = runs[0] / "probe-damaged.json"
    damaged.write_text("{", encoding="utf-8")
    try:
        with pytest.raises(UserError, match="probe-damaged"):
            spectral_ssl.report(runs[0], out=tmp_path / "report.html")
    finally:
        damaged.unlink()


@pytest.mark.parametrize("recipe", ["inpaint", "mr-gan-inpaint"])
def test_pictures_have_reports_too(tmp_path: Path, recipe: str) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(3, 32, 32), train=24, test=12)
    settings = ("width=4", "batch_size=8") if recipe != "inpaint" else ("width=4", "code=8", "hidden=8", "steps=2")
    run = spectral_ssl.pretrain(maps, recipe=recipe, epochs=1, settings=settings, out=tmp_path / "run")
    text = spectral_ssl.report(run).read_text(encoding="utf-8")
    assert ('id="latent-path"' in text) == (recipe == "inpaint")
    assert 'id="spectra"' not in text
    assert 'id="objects"' not in text
    assert "data:image/jpeg" in text


def test_the_toys_have_reports_too(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 1, 1))
    settings = ("width=8", "code=8", "hidden=8", "method.steps=2")
    run = spectral_ssl.pretrain(maps, recipe="toy", epochs=1, settings=settings, out=tmp_path / "run")
    text = spectral_ssl.report(run).read_text(encoding="utf-8")
    assert 'id="latent-path"' in text
    assert "predictions and ground truth" in text
