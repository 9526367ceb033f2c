"""SpectralFeatures: a transformer as scikit-learn wants them, on clouds, pictures, maps and rows of numbers."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import write_random_maps
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from untrained_runs import make_run

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from spectral_ssl.estimator import SpectralFeatures
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8", "watch=0")
VIEWS = ("width=4", "code=8", "projector=16", "grid=8", "watch=0", "task.points=32")


def clouds(count: int = 12, points: int = 64) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rods and plates, (N, P, 3), and which is which."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    extents = np.array([[0.2, 0.2, 2.0], [2.0, 2.0, 0.2]])[labels]
    return generator.uniform(-1, 1, (count, points, 3)) * extents[:, None], labels


@pytest.mark.filterwarnings("ignore")
def test_it_is_an_estimator_by_scikit_learns_own_checks() -> None:
    results = check_estimator(
        SpectralFeatures(epochs=1, settings=TINY, method="cgml"), on_skip=None
    )  # raises where one fails
    assert len(results) > 40
    others = {result["check_name"] for result in results if result["status"] != "passed"}
    assert others <= {"check_array_api_input"}  # which wants an environment variable set before scipy is imported


def test_clouds_become_features_that_tell_them_apart() -> None:
    rods_and_plates, labels = clouds()
    features = SpectralFeatures(degree=6, epochs=2, settings=VIEWS)
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression())
    assert pipeline.fit(rods_and_plates, labels).score(rods_and_plates, labels) == 1.0
    fitted = pipeline[0]
    assert fitted.run_.plan.task == "views"  # what pretrain takes for clouds
    assert fitted.shape_ == (64, 3)
    assert fitted.n_features_in_ == 192
    values = fitted.transform(rods_and_plates)
    assert values.dtype == np.float32
    assert values.shape == (12, len(fitted.get_feature_names_out()))
    # flattened rows are the same samples
    flat = SpectralFeatures(degree=6, epochs=2, settings=VIEWS, shape=(64, 3)).fit(rods_and_plates.reshape(12, -1))
    np.testing.assert_array_equal(flat.transform(rods_and_plates), values)


def test_pictures_may_be_tuned_in_a_grid() -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (20, 1, 8, 8))
    labels = np.arange(20) % 2
    pictures[labels == 1, :, :4] = 255
    pipeline = make_pipeline(SpectralFeatures(epochs=1, settings=TINY, method="cgml"), LogisticRegression())
    search = GridSearchCV(pipeline, {"spectralfeatures__layer": ["default", "stage1-flat"]}, cv=2)
    search.fit(pictures.reshape(20, -1), labels)
    assert search.best_score_ > 0.8
    assert search.best_estimator_[0].basis_ == pixel_basis(1, 8, 8)


def test_a_finished_run_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(5, points=64))
    workspace = tmp_path / "ws"
    run = spectral_ssl.pretrain(maps, method="cgml", epochs=1, settings=TINY, workspace=workspace)
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(workspace))
    values = maps.read()
    for given in (run, run.folder, run.folder.name):
        features = SpectralFeatures(given).fit(values)
        np.testing.assert_allclose(features.transform(values), run.encode(values), rtol=1e-4, atol=1e-6)
    flat = SpectralFeatures(run).fit(values.reshape(len(values), -1))
    np.testing.assert_array_equal(flat.transform(values), features.transform(values))
    some, _ = clouds(4)
    assert SpectralFeatures(run).fit_transform(some).shape == (4, run.layers()["default"])
    with pytest.raises(UserError, match="cannot encode"):
        SpectralFeatures(run).fit(np.zeros((4, 1, 8, 8)))


def test_an_encoder_trained_before_is_used_as_it_is(tmp_path: Path) -> None:
    run = make_run()
    folder = run.save(tmp_path / "parts")
    samples, _ = clouds(5)
    expected = spectral_ssl.load(folder).encode(samples)
    for encoder in (folder, str(folder), spectral_ssl.load(folder)):
        transformer = clone(SpectralFeatures(encoder=encoder))
        np.testing.assert_allclose(transformer.fit_transform(samples), expected, atol=1e-5)
        assert len(transformer.get_feature_names_out()) == expected.shape[1]
    with pytest.raises(UserError, match="did you mean 'universe-upright'"):
        SpectralFeatures(encoder="universe-uprigth").fit(samples)
    with pytest.raises(UserError, match="give one of them"):
        SpectralFeatures(run, encoder=folder).fit(samples)


def test_it_can_be_cloned_pickled_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = np.random.default_rng(0).normal(size=(10, 5))
    features = SpectralFeatures(epochs=1, settings=TINY, method="cgml", random_state=3)
    first = features.fit_transform(rows)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(clone(features).fit_transform(rows), first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(features)).transform(rows), first)
    other = clone(features).set_params(random_state=4)
    assert not np.array_equal(other.fit_transform(rows), first)
    assert features.get_params()["random_state"] == 3
    # the rows that come along change nothing
    np.testing.assert_array_equal(features.transform(rows[[7, 2]]), first[[7, 2]])
    assert "SPECTRAL_SSL_HOME" in os.environ
    clone(features).set_params(verbose=True).fit(rows)
    assert "pretrain: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "options", "words"),
    [
        (np.zeros((3, 10, 2)), {}, "give"),
        (np.zeros((3, 10)), {"shape": (4, 3)}, "rows of 10 numbers"),
        (np.zeros((3, 4, 3)), {"shape": (5, 3)}, "not \\(5, 3\\)"),
        (np.zeros((3, 10, 3)), {}, "sample 0: zero extent"),
        (np.full((3, 10), np.nan), {}, "NaN"),
    ],
)
def test_samples_that_are_none_are_a_value_error(
    samples: NDArray[np.float64], options: dict[str, tuple[int, ...]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        SpectralFeatures(epochs=1, settings=TINY, **{"method": "cgml", **options}).fit(samples)


def test_samples_of_another_shape_than_fitted_are_refused() -> None:
    features = SpectralFeatures(epochs=0, settings=TINY, method="cgml", degree=4).fit(clouds(4)[0])
    with pytest.raises(ValueError, match="as in fit"):
        features.transform(np.zeros((2, 65, 3)))
