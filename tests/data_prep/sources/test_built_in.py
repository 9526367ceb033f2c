"""The digits and the built-in shapes."""

import numpy as np
from source_layouts import check_source

from data_prep.source import Shape
from data_prep.sources.catalogue import open_source


def test_digits() -> None:
    source = open_source("digits")
    check_source(source)
    assert len(source.items) == 1797
    tests = [item for item in source.items if item.split == "test"]
    assert len(tests) == 355
    share = np.bincount([item.label for item in tests]) / np.bincount([item.label for item in source.items])
    assert (abs(share - 0.2) < 0.01).all()
    # The split must never change.
    assert [item.id for item in tests[:5]] == [item.id for item in open_source("digits").items if item.split == "test"][
        :5
    ]
    image = source.items[0].load()
    assert isinstance(image, np.ndarray)
    assert image.shape == (1, 8, 8)
    assert max(int(item.load().max()) for item in source.items[:50]) == 255


def test_shapes() -> None:
    source = open_source("shapes")
    check_source(source)
    assert len(source.classes) == 12
    assert {split: sum(item.split == split for item in source.items) for split in ("train", "test")} == {
        "train": 480,
        "test": 240,
    }
    chairs = [item for item in source.items if source.classes[item.label] == "chair"]
    one, again, other = chairs[0].load(), chairs[0].load(), chairs[1].load()
    assert isinstance(one, Shape)
    np.testing.assert_array_equal(one.points, again.points)
    assert one.points.shape != other.points.shape or (one.points != other.points).any()
    for label in range(12):
        loaded = next(item for item in source.items if item.label == label).load()
        assert isinstance(loaded, Shape)
        assert loaded.faces is not None
        assert 500 < len(loaded.faces) < 20_000
        assert np.isfinite(loaded.points).all()
