"""Whether objects stand in a common pose is measured by the directions of their second moments."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.maps.common_pose import NO_COMMON_POSE, compute_pose_agreement, measure_pose_agreement
from data_prep.maps.reader import open_maps


def rotate(clouds: np.ndarray, seed: int) -> np.ndarray:
    return np.einsum("nij,npj->npi", Rotation.random(len(clouds), random_state=seed).as_matrix(), clouds)


def test_the_built_in_shapes_have_a_common_pose_until_they_are_rotated(shapes_file: Path) -> None:
    maps = open_maps(shapes_file)
    aligned = measure_pose_agreement(maps)  # 48 objects of 64 points each
    assert aligned is not None
    assert aligned > 3 * NO_COMMON_POSE  # no false alarm
    clouds = maps.read_points(maps.rows())
    turned = np.einsum("ij,npj->npi", Rotation.random(random_state=3).as_matrix(), clouds)
    assert compute_pose_agreement(turned) == pytest.approx(compute_pose_agreement(clouds))  # one pose is a common pose


def test_the_measure_is_zero_for_random_and_one_for_equal_poses() -> None:
    generator = np.random.default_rng(0)
    boxes = generator.uniform(-1, 1, (200, 200, 3)) * [1, 0.5, 0.2]
    agreement = compute_pose_agreement(boxes)
    assert agreement is not None
    assert agreement > 0.95
    for seed in range(3):
        random = compute_pose_agreement(rotate(boxes, seed))
        assert random is not None
        assert abs(random) < NO_COMMON_POSE


def test_objects_without_a_direction_say_nothing() -> None:
    generator = np.random.default_rng(0)
    cubes = generator.uniform(-1, 1, (100, 500, 3))
    assert compute_pose_agreement(cubes) is None
    assert compute_pose_agreement(np.zeros((40, 9, 3))) is None
    assert compute_pose_agreement(generator.uniform(-1, 1, (29, 500, 3)) * [1, 0.1, 0.1]) is None
