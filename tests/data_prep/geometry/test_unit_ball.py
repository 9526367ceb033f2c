import numpy as np
import pytest

from data_prep.geometry.unit_ball import TURNS, move_to_unit_ball
from spectral_ssl.ground.errors import ObjectError

CLOUD = np.random.default_rng(3).normal(size=(200, 3)) * [1, 2, 3] + [5, -7, 11]


@pytest.mark.parametrize("up", list(TURNS))
def test_up_axis_is_turned_to_z_without_reflection(up: str) -> None:
    basis = np.vstack([np.eye(3), -np.eye(3)])  # centred already, so the result is the rotation itself
    turned = move_to_unit_ball(basis, up)[:3] * 1.0001
    axis = "xyz".index(up[1])
    sign = 1 if up[0] == "+" else -1
    np.testing.assert_allclose(sign * turned[axis], [0, 0, 1], atol=1e-6)
    assert np.linalg.det(turned) == pytest.approx(1, abs=1e-5)


def test_y_up_is_the_quarter_turn_about_x() -> None:
    points = CLOUD - CLOUD.mean(axis=0)
    turned = move_to_unit_ball(points, "+y")
    expected = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)
    expected /= 1.0001 * np.linalg.norm(expected, axis=1).max()
    np.testing.assert_allclose(turned, expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e150, 1e300])
def test_strictly_inside_centred_and_free_of_scale(scale: float) -> None:
    ball = move_to_unit_ball(CLOUD * scale)
    assert ball.dtype == np.float32
    norms = np.linalg.norm(ball, axis=1)
    assert norms.max() < 1
    assert norms.max() == pytest.approx(1 / 1.0001, abs=1e-6)
    np.testing.assert_allclose(ball.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(ball, move_to_unit_ball(CLOUD), atol=1e-5)


def test_far_from_the_origin() -> None:
    np.testing.assert_allclose(move_to_unit_ball(CLOUD + 1e6), move_to_unit_ball(CLOUD), atol=1e-6)


def test_float16_clouds() -> None:
    ball = move_to_unit_ball(CLOUD.astype(np.float16))
    assert np.linalg.norm(ball, axis=1).max() < 1
    np.testing.assert_allclose(ball, move_to_unit_ball(CLOUD), atol=5e-3)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (np.ones((10, 3)), "zero extent"),
        (np.zeros((10, 3)), "zero extent"),
        (np.full((10, 3), 1e9) + np.eye(10, 3) * 1e-6, "zero extent"),
        (np.array([[0, 0, np.nan], [1, 0, 0]]), "not finite"),
        (np.array([[0, 0, np.inf], [1, 0, 0]]), "not finite"),
        (np.array([[-1.7e308, 0, 0], [1.7e308, 0, 0]]), "too large"),
        (np.zeros((0, 3)), "not a cloud"),
        (np.zeros((5, 2)), "not a cloud"),
    ],
)
def test_refusals(points: np.ndarray, reason: str) -> None:
    with pytest.raises(ObjectError, match=reason):
        move_to_unit_ball(points)
