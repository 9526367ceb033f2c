"""Principal components against the eigenvectors of the covariance."""

import numpy as np
import pytest

from downstream.features import pca
from downstream.features.pca import COMPONENTS, compute_pca_features, fit_components, fit_reduction, reduce_features
from spectral_ssl.ground.errors import UserError


@pytest.mark.parametrize(("rows", "dimensions"), [(50, 8), (20, 40), (500, 300)])
def test_components_are_those_of_the_covariance_of_train(rows: int, dimensions: int) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(rows + 30, dimensions)) * np.geomspace(10, 0.1, dimensions)).astype(np.float32)
    train = np.arange(rows)
    found = compute_pca_features(values, train)
    assert found.shape == (rows + 30, min(COMPONENTS, dimensions, rows - 1))
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


def rank_of(samples: int, dimensions: int, rank: int, *, shift: float = 0.0, dtype: type = np.float32) -> np.ndarray:
    """Make samples of a rank, with deviations of about 10 to 1 along their directions, rounded to a type."""
    generator = np.random.default_rng(samples + dimensions)
    scores = generator.normal(size=(samples, rank)) * np.geomspace(10, 1, rank)
    directions = np.linalg.qr(generator.normal(size=(dimensions, rank)))[0].T
    return (scores @ directions + shift).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("samples", "dimensions"), [(22, 200), (200, 22), (40, 40)])
@pytest.mark.parametrize("shift", [0.0, 500.0])
def test_components_of_rounding_errors_are_left_out(samples: int, dimensions: int, shift: float, dtype: type) -> None:
    values = rank_of(samples, dimensions, 7, shift=shift, dtype=dtype)
    fitted = fit_components(values)
    assert fitted.directions.shape == (dimensions, 7)
    np.testing.assert_allclose(fitted.directions.T @ fitted.directions, np.eye(7), atol=1e-6)
    exact = np.linalg.svd(values.astype(np.float64) - values.mean(axis=0, dtype=np.float64), compute_uv=False)
    np.testing.assert_allclose(fitted.deviations, exact[:7] / np.sqrt(samples - 1), rtol=1e-6)
    # A copy of the samples adds no component.
    assert fit_components(np.concatenate([values, values])).directions.shape == (dimensions, 7)


def test_few_samples_have_one_component_less_than_samples() -> None:
    values = np.random.default_rng(0).normal(size=(30, 300)).astype(np.float32)
    found = compute_pca_features(values, np.arange(22))
    assert found.shape == (30, 21)
    # The smallest deviation is not rounding noise: standardisation is safe.
    assert found[:22].std(axis=0).min() > 2
    assert compute_pca_features(values, np.arange(2)).shape == (30, 1)
    np.testing.assert_array_equal(compute_pca_features(values * 0 + 3, np.arange(22)), np.zeros((30, 1)))
    with pytest.raises(UserError, match="too few maps"):
        compute_pca_features(values, np.arange(1))


def test_the_randomised_solver_leaves_out_rounding_errors_too(monkeypatch: pytest.MonkeyPatch) -> None:
    values = rank_of(60, 50, 7)
    exact = fit_components(values)
    monkeypatch.setattr(pca, "LARGEST_EXACT", 40)
    leading = fit_components(values)
    assert leading.directions.shape == (50, 7)
    np.testing.assert_allclose(leading.deviations, exact.deviations, rtol=1e-5)
    np.testing.assert_allclose(leading(values), exact(values), atol=1e-4)


def test_a_reduction_has_at_most_the_rank_of_its_samples() -> None:
    values = rank_of(30, 12, 5)
    assert reduce_features(fit_reduction(values, 5), values).shape == (30, 5)
    with pytest.raises(UserError, match=r"6 of 30 training samples with 12 features of rank 5.*give 1 to 5"):
        fit_reduction(values, 6)
    with pytest.raises(UserError, match=r"10 of 10 training samples with 12 features.*give 1 to 9"):
        fit_reduction(values[:10], 10)
    noise = np.float32(3) + np.random.default_rng(0).integers(-2, 3, (30, 4)).astype(np.float32) * np.float32(2.4e-7)
    with pytest.raises(UserError, match="constant features"):
        fit_reduction(noise, 2)
