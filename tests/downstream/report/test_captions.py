"""Captions of the report say what is in the data: numbers and splits are computed."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from downstream.report.evidence import Items
from downstream.report.sections.data.failures import render_failures
from downstream.report.sections.data.objects import render_objects
from downstream.report.sections.data.spectra import render_spectra
from downstream.report.sections.features.confusion import render_confusion
from downstream.report.sections.features.neighbours import choose_queries, render_neighbours
from pretext.runs.evaluation import describe_rows


def write(path: Path, basis: Basis, splits: Sequence[str], labels: Sequence[int] | None = None) -> MapFile:
    count = len(splits)
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=["a", "b", "c"], count=count, created_by="test"
    ) as writer:
        maps = np.random.default_rng(0).uniform(-1, 1, (count, *basis.shape)).astype(np.float32)
        writer.append(maps, [f"item-{row}" for row in range(count)], list(labels or [0] * count), list(splits))
    return open_maps(path)


def evidence_of(maps: MapFile, **more: Any) -> Any:
    features = np.random.default_rng(1).normal(size=(len(maps), 5)).astype(np.float32)
    run = SimpleNamespace(basis=maps.basis, method=SimpleNamespace(has_completions=False))
    values = {"evaluations": [], "probes": [], "is_full": True, "items": Items(maps.rows(), features), **more}
    return SimpleNamespace(run=run, maps=maps, **values)


@pytest.mark.parametrize(
    ("splits", "count", "right"),
    [
        (["train"] * 7, 7, "7 images of the training split"),
        (["train"] * 7 + ["test"] * 2, 2, "2 images of the test split"),
        (["train"] * 7 + ["val"], 8, "8 images of the training and the validation split"),
        (["test"], 1, "1 image of the test split"),
    ],
)
def test_rows_are_described_by_their_number_and_split(
    splits: list[str], count: int, right: str, tmp_path: Path
) -> None:
    maps = write(tmp_path / "maps.h5", pixel_basis(1, 4, 4), splits)
    assert describe_rows(maps, maps.rows()[-count:]) == right


def test_without_a_split_nothing_is_called_held_out(tmp_path: Path) -> None:
    images = write(tmp_path / "images.h5", pixel_basis(1, 8, 8), ["train"] * 9, [0, 1, 2] * 3)
    text = str(render_neighbours(evidence_of(images)))
    assert "The queries are 8 images of the training split." in text
    assert "among 9 images of the training split, by the cosine similarity" in text
    shapes = write(tmp_path / "shapes.h5", zernike_basis(4), ["train"] * 3)
    spectra, objects = str(render_spectra(evidence_of(shapes))), str(render_objects(evidence_of(shapes)))
    assert "3 objects of the training split, by degree" in spectra
    assert "3 objects of the training split." in objects
    assert "The two shapes" not in objects  # the file has no clouds, so there is one shape an object
    for each in (text, spectra, objects):
        assert "held out" not in each
        assert "held-out" not in each


def test_with_a_split_the_test_split_is_named(tmp_path: Path) -> None:
    shapes = write(tmp_path / "shapes.h5", zernike_basis(4), ["train"] * 3 + ["test"] * 70)
    assert "64 objects of the test split, by degree" in str(render_spectra(evidence_of(shapes)))
    text = str(render_neighbours(evidence_of(shapes)))
    assert "The queries are 8 objects of the test split." in text
    assert "among 73 objects of the training and the test split" in text


def test_queries_cover_the_classes() -> None:
    rare = np.array([0] * 500 + [1] * 500 + [2] * 2 + [3])
    chosen = choose_queries(rare, 8)
    assert np.bincount(rare[chosen]).tolist() in ([3, 2, 2, 1], [2, 3, 2, 1])
    assert (np.diff(chosen) > 0).all()
    many = np.arange(2000) % 40
    assert len(set(many[choose_queries(many, 8)].tolist())) == 8
    assert choose_queries(many, 8).tolist() == choose_queries(many, 8).tolist()
    assert choose_queries(many, 8, seed=1).tolist() != choose_queries(many, 8).tolist()
    assert choose_queries(np.array([-1, -1, -1]), 8).tolist() == [0, 1, 2]


def test_the_confusion_matrix_counts_its_samples(tmp_path: Path) -> None:
    maps = write(tmp_path / "maps.h5", pixel_basis(1, 4, 4), ["train"])
    rows = [{"features": "trained network", "confusion": [[3, 1], [0, 4]]}]
    result = {"target": "t", "class_names": ["a", "b"], "rows": rows}
    text = str(render_confusion(evidence_of(maps, probes=[result])))
    assert "8 predicted labels of samples that were not trained on" in text


def test_notes_of_the_readers_stand_with_the_failures(tmp_path: Path) -> None:
    with MapWriter(
        tmp_path / "a.h5", pixel_basis(1, 4, 4), source="", source_digest="", classes=(), count=1, created_by="test"
    ) as writer:
        writer.append(np.zeros((1, 1, 4, 4), np.float32), ["item"], [0], ["train"])
        for name, note in (("a", "3 of 60 lines left out"), ("b", "1 of 9 lines left out"), ("c", "<b> read")):
            writer.note(name, note)
    text = str(render_failures(evidence_of(open_maps(tmp_path / "a.h5"))))
    assert "Failed objects: 0." in text
    assert text.index("3 of 60 lines left out") < text.index("&lt;b&gt; read")
    assert "1 of 9 lines left out" not in text
