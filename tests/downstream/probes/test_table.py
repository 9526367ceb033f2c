"""The table of the probe: its rows, its statistics, and the split of the labelled maps."""

from pathlib import Path

import numpy as np
import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.probes.table import probe_run, split_labelled_rows
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8")
pytestmark = pytest.mark.usefixtures("quick_probes")


def test_table_has_the_training_free_baselines_and_statistics_of_its_seeds(
    random_maps: MapFile, tmp_path: Path
) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    table = probe_run(run, random_maps, seeds=(0, 1))
    assert [row.features for row in table.rows] == [
        "raw coefficients",
        "PCA",
        "rotation invariants",
        "ring norms",
        "untrained network",
        "trained network",
    ]
    for row in table.rows:
        assert len(row.accuracies) == 2
        assert row.mean == pytest.approx(np.mean(row.accuracies))
        assert row.std == pytest.approx(np.std(row.accuracies, ddof=1))
        assert row.standard_error == pytest.approx((row.mean * (1 - row.mean) / 24) ** 0.5)
        assert np.trace(row.confusion) == round(24 * row.accuracies[0])
        assert np.sum(row.confusion, axis=1).tolist() == [8, 8, 8]
        assert np.mean(row.per_class) == pytest.approx(row.accuracies[0])
    raw = table.rows[0]
    assert raw.dimensions == 9 * 10 * 11 // 6  # all coefficients of order 8
    assert raw.mean > 0.9  # the classes of these maps are far apart in raw coefficients
    assert (table.train, table.test, table.classes) == (48, 24, 3)


def test_images_have_pixels_for_a_baseline_and_no_invariants(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 8, 8))
    run = spectral_ssl.pretrain(maps, epochs=1, settings=TINY, out=tmp_path / "run")
    names = [row.features for row in probe_run(run, maps, seeds=(0,)).rows]
    assert names == ["raw pixels", "PCA", "k-means patches", "untrained network", "trained network"]


def test_another_basis_is_refused(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    other = write_random_maps(tmp_path / "other.h5", zernike_basis(6))
    with pytest.raises(UserError, match="another basis"):
        probe_run(run, other)
    with pytest.raises(UserError, match="another basis"):
        spectral_ssl.export(run, data=other)


def test_a_file_without_a_test_split_has_a_quarter_held_out(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "one.h5", zernike_basis(4), train=60, test=0)
    train, test, split = split_labelled_rows(maps)
    assert (len(train), len(test)) == (45, 15)
    assert not set(train) & set(test)
    assert np.bincount(maps.labels[test]).tolist() == [5, 5, 5]
    assert "held out" in split


def test_no_labels_is_a_clear_error(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "none.h5", zernike_basis(4), labelled=False)
    with pytest.raises(UserError, match="no labels"):
        split_labelled_rows(maps)
