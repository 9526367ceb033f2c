"""Principal components against the eigenvectors of the covariance."""

import numpy as np
import pytest

from downstream.features.pca import COMPONENTS, compute_pca_features, fit_reduction, reduce_features
from spectral_ssl.ground.errors import UserError


@pytest.mark.parametrize(("rows", "dimensions"), [(50, 8), (20, 40), (500, 300)])
def test_components_are_those_of_the_covariance_of_train(rows: int, dimensions: int) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(rows + 30, dimensions)) * np.geomspace(10, 0.1, dimensions)).astype(np.float32)
    train = np.arange(rows)
    found = compute_pca_features(values, train)
    assert found.shape == (rows + 30, min(COMPONENTS, dimensions, rows))
    centred = values - values[train].mean(axis=0)
    spread, directions = np.linalg.eigh(np.cov(values[train].T.astype(np.float64)))
    wanted = centred @ directions[:, ::-1][:, :3]
    np.testing.assert_allclose(np.abs(found[:, :3]), np.abs(wanted), atol=2e-3)
    np.testing.assert_allclose(found[train].var(axis=0, ddof=1)[:3], spread[::-1][:3], rtol=1e-3)


def test_components_do_not_depend_on_the_test_split() -> None:
    values = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    other = values.copy()
    other[40:] += 5
    train = np.arange(40)
    np.testing.assert_array_equal(compute_pca_features(values, train)[train], compute_pca_features(other, train)[train])


def test_a_reduction_keeps_distances_of_standardised_features_and_orders_by_variance() -> None:
    generator = np.random.default_rng(3)
    mixed = generator.normal(size=(200, 12)) @ generator.normal(size=(12, 12))
    values = (mixed * np.geomspace(1, 1e3, 12)).astype(np.float32)
    all_of_them = reduce_features(fit_reduction(values, 12), values)
    standardised = (values - values.mean(axis=0)) / values.std(axis=0)
    between = [np.linalg.norm(each[:50, None] - each[None, :50], axis=2) for each in (all_of_them, standardised)]
    np.testing.assert_allclose(*between, atol=1e-4)
    covariance = np.cov(all_of_them.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    few = reduce_features(fit_reduction(values, 3), values)
    assert few.dtype == np.float32
    np.testing.assert_allclose(few, all_of_them[:, :3], atol=1e-4)
    for wrong, said in ((np.nan, "not finite"), (0.0, "constant features")):
        with pytest.raises(UserError, match=said):
            fit_reduction(np.where(values > 1e9, values, np.float32(wrong)), 3)
    with pytest.raises(UserError, match="13 of 200 training samples with 12 features"):
        fit_reduction(values, 13)
