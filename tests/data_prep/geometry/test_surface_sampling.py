import numpy as np
import pytest

from data_prep.geometry.surface_sampling import resample_cloud, sample_farthest_points, sample_points, sample_surface
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

# two triangles of areas 3 and 1 and one without area, in different planes
BENT = Shape(
    np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0], [0, 0, 1], [0, 2, 0], [9, 9, 9]], float),
    np.array([[0, 1, 2], [5, 5, 5], [0, 3, 2]]),
)


def _moments(points: np.ndarray) -> np.ndarray:
    x, y, z = points.T
    return np.stack([x, y, z, x * x, x * y, y * z, x * x * y]).mean(axis=1)


def _independent(count: int, generator: np.random.Generator) -> np.ndarray:
    first = generator.random(count) < 0.75
    a, b = generator.random((2, count, 1))
    a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
    return np.where(first[:, None], a * [3, 0, 0] + b * [0, 2, 0], a * [0, 0, 1] + b * [0, 2, 0])


def test_uniform_and_far_less_noisy_than_independent_points() -> None:
    generator = np.random.default_rng(0)
    ours = np.array([_moments(sample_surface(BENT, 256, generator)) for _ in range(200)])
    plain = np.array([_moments(_independent(256, generator)) for _ in range(200)])
    exact = _moments(_independent(2_000_000, generator))
    # no bias: the mean of 200 draws lies within its own error, plus that of the reference
    error = np.sqrt(ours.var(axis=0) / 200 + plain.var(axis=0) * 256 / 2_000_000)
    assert (np.abs(ours.mean(axis=0) - exact) < 5 * error).all()
    # measured ratios of variances: 24 and more
    assert (ours.var(axis=0) * 10 < plain.var(axis=0)).all()


def test_few_points_are_uniform_too() -> None:
    generator = np.random.default_rng(0)
    draws = np.concatenate([sample_surface(BENT, 2, generator) for _ in range(4000)])
    flat = draws[draws[:, 2] == 0]
    # means of uniform points are the centroid's coordinates; 5 standard errors
    np.testing.assert_allclose(flat.mean(axis=0), [1, 2 / 3, 0], atol=5 * 0.71 / np.sqrt(len(flat)))


def test_points_of_a_triangle_are_proportional_to_its_area() -> None:
    points = sample_surface(BENT, 1000, np.random.default_rng(1))
    assert points.shape == (1000, 3)
    flat = points[:, 2] == 0
    assert abs(int(flat.sum()) - 750) <= 1
    assert (points[flat] @ [2, 3, 0] <= 6 + 1e-12).all()
    assert (points >= 0).all()
    assert (points[:, 0] < 8).all()  # nothing of the triangle without area


@pytest.mark.parametrize("count", [1, 2, 7, 2048])
def test_seeded(count: int) -> None:
    first, again, other = (sample_surface(BENT, count, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.shape == (count, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("faces", [np.zeros((0, 3), np.int64), np.array([[0, 0, 1]])], ids=["no faces", "no area"])
def test_meshes_without_area_are_refused(faces: np.ndarray) -> None:
    with pytest.raises(ObjectError, match=r"faces|area"):
        sample_surface(Shape(BENT.points, faces), 10, np.random.default_rng(0))


def test_infinite_corner() -> None:
    with pytest.raises(ObjectError, match="not finite"):
        sample_surface(Shape(np.full((3, 3), np.inf), np.array([[0, 1, 2]])), 10, np.random.default_rng(0))


CLOUD = np.arange(300.0).reshape(100, 3)


def _counts(points: np.ndarray) -> np.ndarray:
    rows = (points[:, 0] / 3).astype(int)
    np.testing.assert_array_equal(points, CLOUD[rows])
    return np.bincount(rows, minlength=100)


def test_large_clouds_are_thinned_without_repeats() -> None:
    counts = _counts(resample_cloud(CLOUD, 60, np.random.default_rng(0)))
    assert counts.max() == 1
    assert counts.sum() == 60
    other = _counts(resample_cloud(CLOUD, 60, np.random.default_rng(1)))
    assert (counts != other).any()


def test_small_clouds_are_repeated_evenly() -> None:
    counts = _counts(resample_cloud(CLOUD, 250, np.random.default_rng(0)))
    assert counts.sum() == 250
    assert set(counts.tolist()) == {2, 3}


def test_clouds_of_the_right_size_stay() -> None:
    np.testing.assert_array_equal(sample_points(Shape(CLOUD), 100, np.random.default_rng(0)), CLOUD)


def test_empty_cloud() -> None:
    with pytest.raises(ObjectError, match="without points"):
        resample_cloud(np.zeros((0, 3)), 5, np.random.default_rng(0))


def test_farthest_points_against_the_definition() -> None:
    cloud = np.random.default_rng(2).normal(size=(300, 3))
    chosen = sample_farthest_points(cloud, 40, np.random.default_rng(7))
    for number in range(1, 40):
        nearest = np.linalg.norm(cloud[:, None] - chosen[None, :number], axis=2).min(axis=1)
        np.testing.assert_array_equal(chosen[number], cloud[nearest.argmax()])
    np.testing.assert_array_equal(sample_farthest_points(cloud, 10, np.random.default_rng(7)), chosen[:10])
    with pytest.raises(ObjectError, match="300 points, fewer than the 301"):
        sample_farthest_points(cloud, 301, np.random.default_rng(0))
