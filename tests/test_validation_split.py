"""The copy on which settings are chosen holds training objects alone, and benchmarks refuse to choose on others."""

from pathlib import Path

import numpy as np
import pytest
from validation_split import is_validation_copy, write_validation_copy

from data_prep.maps.reader import open_maps
from spectral_ssl.ground.errors import UserError
from tests.test_benchmarks import FOLDER, read_arguments


def test_a_tenth_of_the_training_objects_is_held_out(shapes_file: Path, tmp_path: Path) -> None:
    maps = open_maps(shapes_file)
    assert maps.has_points
    write_validation_copy(maps, tmp_path / "copy.h5")
    copy = open_maps(tmp_path / "copy.h5")
    train = maps.rows("train")
    assert [*copy.ids] == [maps.ids[row] for row in train]
    test = copy.labels[copy.rows("test")]
    assert len(test) == len(train) // 10 > 0
    for label, count in zip(*np.unique(copy.labels, return_counts=True), strict=True):
        assert abs((test == label).sum() - count / 10) < 1
    assert len(copy.rows("train")) + len(copy.rows("test")) == len(train)
    np.testing.assert_array_equal(copy.read(), maps.read(train))
    np.testing.assert_array_equal(copy.labels, maps.labels[train])
    assert (copy.basis, copy.classes, copy.has_points) == (maps.basis, maps.classes, maps.has_points)
    np.testing.assert_array_equal(copy.read_points(), maps.read_points(train))
    # Statistics are those of what is left in training.
    values = copy.read(copy.rows("train")).astype(np.float64)
    np.testing.assert_allclose(copy.mean, values.mean(axis=0), atol=1e-5 * np.abs(values).max())
    assert is_validation_copy(copy)
    assert not is_validation_copy(maps)
    assert copy.digest != maps.digest
    with pytest.raises(UserError, match="a validation copy of a validation copy"):
        write_validation_copy(copy, tmp_path / "again.h5")
    with pytest.raises(UserError, match="exists"):
        write_validation_copy(maps, tmp_path / "copy.h5")


def test_settings_are_not_tried_on_test_codes(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_validation_copy(open_maps(shapes_file), tmp_path / "copy.h5")
    script, common = FOLDER / "latent_space_gan.py", ["--features", "E", "--set", "width=8"]
    with pytest.raises(SystemExit) as ended:
        read_arguments(script, ["main", "--data", str(shapes_file), *common], monkeypatch)
    assert ended.value.code == 2
    assert "--set width=8 would be scored on test codes" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        read_arguments(script, ["main", "--data", str(tmp_path / "none.h5"), *common], monkeypatch)
    assert ended.value.code == 2
    for words in (["--data", str(tmp_path / "copy.h5")], ["--data", str(shapes_file), "--chosen"]):
        assert read_arguments(script, ["main", *words, *common], monkeypatch).set == ["width=8"]
