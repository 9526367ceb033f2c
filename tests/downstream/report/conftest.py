"""A small run with hostile names, and its reports."""

import json
from pathlib import Path

import numpy as np
import pytest
from quick_probing import make_probes_quick

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import clouds_to_maps
from pretext.runs.trained_run import TrainedRun

BAD_ID = "<script>window.broken = true</script>"
BAD_CLASS = '<b onclick="broken()">bold</b> & "quoted"'
BAD_REASON = "<img src=x onerror=window.broken=true>"
CLASSES = ("flat", BAD_CLASS, "tall")
TINY = ("method.width=4", "method.code=16", "method.hidden=8", "method.steps=3", "train.batch_size=16")


def write_clouds(path: Path, count: int = 60, points: int = 96) -> None:
    """Write boxes of three proportions as clouds, with their maps."""
    generator = np.random.default_rng(0)
    basis = zernike_basis(6, points=points)
    labels = np.arange(count) % len(CLASSES)
    sizes = np.array([(1, 1, 0.2), (1, 0.4, 0.4), (0.3, 0.3, 1)])[labels] * generator.uniform(0.8, 1, (count, 3))
    clouds = generator.uniform(-0.55, 0.55, (count, points, 3)) * sizes[:, None]
    axis = generator.integers(0, 3, (count, points))
    signs = generator.choice([-1, 1], (count, points))
    clouds[np.arange(count)[:, None], np.arange(points), axis] = 0.55 * signs * np.take_along_axis(sizes, axis, axis=1)
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=CLASSES, count=count, created_by="test",
        keep_points=points,
    ) as writer:  # fmt: skip
        ids = [f"{BAD_ID}/{number}" for number in range(count)]
        splits = ["train"] * (count * 2 // 3) + ["test"] * (count - count * 2 // 3)
        writer.append(clouds_to_maps(clouds, basis), ids, labels.tolist(), splits, clouds)
        writer.fail(f"{BAD_ID}/failed", BAD_REASON)


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> None:
    """Figures and short reports are what the tests of this folder read."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Train cGML on shape completion and probe it; the name of its folder holds HTML."""
    home = tmp_path_factory.mktemp("report")
    write_clouds(home / "clouds.h5")
    trained = spectral_ssl.pretrain(
        home / "clouds.h5", method="cgml", task="complete-shape", epochs=2, settings=(*TINY, "task.points=48"),
        out=home / "<i>run & 'more'", workspace=home,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        make_probes_quick(patch)
        spectral_ssl.probe(run=trained, seeds=1, workspace=home)
    scores = [
        {"method": BAD_CLASS, "answers": 80, "fooling": {"value": 0.225, "low": 0.075, "high": 0.4}, "chance": 0.5}
    ]
    study = {"kind": "turing", "participants": 10, "excluded": [1, 2], "note": BAD_REASON, "scores": scores}
    (trained.folder / "human-study-one.json").write_text(json.dumps(study))
    return trained


@pytest.fixture(scope="session")
def full_report(run: TrainedRun) -> Path:
    """Write the full report of the run."""
    return spectral_ssl.report(run, out=run.folder.parent / "full.html")
