"""Labels and features that cannot be probed get one clear line; small sets and old results a clear table."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import call
from conftest import forget_checksums, write_random_maps

import spectral_ssl
from data_prep.basis import zernike_basis
from downstream.probes.protocol.verdict import write_outcomes
from downstream.report.sections.run.summary import build_probe_table
from downstream.report.templating import render_table
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.cli.tables import print_probe

pytestmark = pytest.mark.usefixtures("quick_probes")
TRAIN, TEST = 30, 12  # rows of three classes in turn


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 42 labelled maps."""
    folder = tmp_path_factory.mktemp("labels")
    maps = write_random_maps(folder / "maps.h5", zernike_basis(3), train=TRAIN, test=TEST)
    return spectral_ssl.pretrain(
        maps, method="regression", epochs=0, settings=("width=2", "code=8"), out=folder / "run", report=False
    ).folder


def write(path: Path, labels: Sequence[int] | None = None, broken: Sequence[int] = ()) -> Path:
    """Write the maps of the run with other labels, or with NaN in some rows."""
    maps = write_random_maps(path, zernike_basis(3), train=TRAIN, test=TEST)
    with h5py.File(maps.path, "r+") as file:
        if labels is not None:
            file["labels"][:] = labels
        for row in broken:
            forget_checksums(file)  # which would say first that the row has changed
            file["maps"][row, 0, 1, 0] = np.nan
    return maps.path


def one_class_in_test(row: int) -> int:
    return 2 if row >= TRAIN and row % 3 == 2 else row % 2


# name of the case: label of a row, rows with NaN, the line with the own split and with cross-validation (None: a table)
CASES: dict[str, tuple[Callable[[int], int], Sequence[int], str | None, str | None]] = {
    "no labels": (lambda row: -1, (), "no labels to probe with", "no labels to probe with"),
    "single class": (
        lambda row: 1, (),
        "too few classes to probe: got 30 training samples, all of class 'class1'",
        "too few classes to probe: got 42 labelled samples, all of class 'class1'",
    ),
    "single class of train": (
        lambda row: int(row >= TRAIN), (),
        "too few classes to probe: got 30 training samples, all of class 'class0'", None,
    ),
    "one sample of a class": (
        lambda row: 2 if row == 0 else row % 2, (),
        "too few labels to cross-validate: got a class with one training sample",
        "too few labels to cross-validate: got class 'class2' with 1",
    ),
    "a class of test only": (
        one_class_in_test, (),
        "test samples of a class without training samples: got 4 test samples of 'class2'; give --split cross", None,
    ),
    "NaN in a map of training": (
        lambda row: row % 3, (4,),
        "maps with values that are not finite", "maps with values that are not finite",
    ),
    "NaN in a map of test": (
        lambda row: row % 3, (TRAIN + 1,),
        "maps with values that are not finite", "maps with values that are not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("split", ["own", "cross-validation"])
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_probed_gets_one_line(case: str, split: str, run: Path, tmp_path: Path) -> None:
    label, broken, *lines = CASES[case]
    path = write(tmp_path / "other.h5", [label(row) for row in range(TRAIN + TEST)], broken)
    done = call(
        "probe", "--target", path, "--run", run, "--split", split, "--seeds", "1", workspace=tmp_path / "workspace"
    )
    line = lines[split == "cross-validation"]
    refusals = [each for each in done.stderr.splitlines() if each.startswith("spectral-ssl")]
    if line is None:
        assert done.returncode == 0, done.stderr
        assert "linear probe: " in done.stdout
        assert refusals == []
    else:
        assert done.returncode == 2
        assert len(refusals) == 1
        assert refusals[0].startswith(f"spectral-ssl: {line}"), refusals
        assert done.stdout == ""
        assert "Warning" not in done.stderr


@pytest.mark.parametrize("split", ["own", "cross-validation"])
@pytest.mark.parametrize("row", [3, TRAIN + 1])
def test_features_of_the_network_that_are_not_finite_name_their_row(
    row: int, split: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = TrainedRun.encode_file

    def encode(self: TrainedRun, *arguments: object) -> np.ndarray:
        features = np.array(original(self, *arguments))  # type: ignore[arg-type]
        features[row] = np.inf
        return features

    monkeypatch.setattr(TrainedRun, "encode_file", encode)
    options = ("--seeds", "1", "--probes", "neighbours", "--split", split)
    path = write(tmp_path / "other.h5")
    done = call("probe", "--target", path, "--run", run, *options, workspace=tmp_path / "workspace")
    assert done.returncode == 2
    assert "got NaN or infinity in the untrained network of 1 of 42 labelled samples; train again" in done.stderr


def make_result(trained: int, baseline: int, samples: int = 200) -> dict[str, object]:
    """The result of a probe in which the first so many samples are correct."""
    from downstream.probes.protocol.row_scores import make_row
    from downstream.probes.protocol.verdict import compare_with_baselines
    from downstream.probes.table import ProbeTable

    correct = {"raw pixels": baseline - 1, "PCA": baseline, "trained network": trained}
    texts = {name: write_outcomes(np.arange(samples) < count) for name, count in correct.items()}
    fits = {"dimensions": [4], "strengths": [1.0], "cross_validation": [0.5], "confusion": [[trained]]}
    rows = [
        make_row(name, {"linear": {**fits, "outcomes": [text]}}, samples, cached=False) for name, text in texts.items()
    ]
    verdict = compare_with_baselines(
        "linear", [texts["trained network"]], {name: [texts[name]] for name in ("raw pixels", "PCA")}
    )
    table = ProbeTable(
        target="digits", run="runs/one", train=800, test=samples, classes=2, class_names=("a", "b"), split="own",
        folds=0, seeds=(0,), probes=("linear",), pose="aligned", pose_seed=0, layer="default", layer_choices=(),
        rows=tuple(rows), verdicts=(verdict,),
    )  # fmt: skip
    about = {"trained_on": "maps.h5", "trained_on_digest": "0", "maps_digest": "0"}
    return {**table.as_dict(), **about}


@pytest.mark.parametrize(("trained", "baseline", "is_better"), [(180, 150, True), (152, 150, False), (150, 180, False)])
def test_only_a_shown_difference_is_green(
    trained: int,
    baseline: int,
    is_better: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = make_result(trained, baseline)
    html = str(render_table(build_probe_table(result)))
    assert html.count('<tr class="marked better">') == is_better
    assert html.count('class="marked') == 1
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_probe(result)
    printed = capsys.readouterr().out
    cells = [line for line in printed.splitlines() if "│" in line]
    lines = {name: next(line for line in cells if name in line) for name in ("PCA", "trained network")}
    assert ("\x1b[32m" in lines["trained network"]) == is_better
    assert "\x1b[32m" not in lines["PCA"]
    words = {True: "better than", False: "worse than" if trained < baseline else "no difference shown with 200 test"}
    assert f"linear probe: {words[is_better]}" in printed


def test_eight_of_eight_have_an_interval_on_screen(capsys: pytest.CaptureFixture[str]) -> None:
    result = make_result(8, 8, samples=8)
    print_probe(result)
    printed = capsys.readouterr().out
    assert printed.count("1.000 (0.676 to 1.000)") == 2
    assert "no difference shown with 8 test samples: +0.0 points (-40.2 to +40.2)" in printed
    assert "standard error" not in printed


def test_no_retrieval_is_a_dash_on_screen_as_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    result = {**make_result(8, 8, samples=8), "probes": ("linear", "retrieval")}
    print_probe(result)
    printed = capsys.readouterr().out
    assert "class mAP" in printed
    assert "nan" not in printed
    line = next(line for line in printed.splitlines() if "trained network" in line and "│" in line)
    assert line.split("│")[-2].strip() == "-"


def test_results_of_earlier_versions_have_intervals_and_say_what_is_missing(run: Path, tmp_path: Path) -> None:
    rows = [
        {
            "features": name, "dimensions": 4, "mean": mean, "std": None, "standard_error": 0.0,
            "neighbours": mean, "few_shot": [],
        }
        for name, mean in (("PCA", 0.75), ("trained network", 1.0))
    ]  # fmt: skip
    stored = {"target": "old", "classes": 2, "train": 22, "test": 8, "probes": ["linear", "neighbours"], "rows": rows}
    (run / "probe-old.json").write_text(json.dumps(stored))
    try:
        done = call("report", "--run", run, "--out", tmp_path / "report.html", workspace=tmp_path / "workspace")
        both = call("report", "--compare", run, run, "--out", tmp_path / "both.html", workspace=tmp_path / "workspace")
        shown = call("runs", "show", run, workspace=tmp_path / "workspace")
    finally:
        (run / "probe-old.json").unlink()
    assert (done.returncode, both.returncode, shown.returncode) == (0, 0, 0), done.stderr + both.stderr
    for page in ("report.html", "both.html"):
        text = (tmp_path / page).read_text()
        assert "1.000 (0.676 to 1.000)" in text
        assert "100.0% of 8 test samples correct, best training-free baseline (PCA) 75.0%" in text
        assert "probe again" in text
        assert 'class="marked better"' not in text
    assert "1.000" in shown.stdout
