"""Poses: rotated coefficients that depend on the seed and the row alone."""

from pathlib import Path

import numpy as np
import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.transforms.invariants import degree_norms, ring_norms
from data_prep.transforms.rotation import rotate
from downstream.probes.rotated_maps import draw_rotations, rotate_maps
from downstream.probes.table import probe_run
from spectral_ssl.ground.errors import UserError


def test_every_object_is_rotated_about_the_axis_of_its_pose(random_maps: MapFile) -> None:
    upright, any_way = rotate_maps(random_maps, "vertical"), rotate_maps(random_maps, "so3")
    original = random_maps.read()
    norms = {norm: norm(original, random_maps.basis) for norm in (ring_norms, degree_norms)}
    np.testing.assert_allclose(ring_norms(upright.read(), upright.basis), norms[ring_norms], atol=1e-5)
    np.testing.assert_allclose(degree_norms(any_way.read(), any_way.basis), norms[degree_norms], rtol=1e-4, atol=1e-5)
    for rotated in (upright, any_way):
        moved = np.abs(rotated.read() - original).max(axis=(1, 2, 3))
        assert moved.min() > 0.1
    changed = np.abs(ring_norms(any_way.read(), any_way.basis) - norms[ring_norms]).max(axis=1)
    assert changed.min() > 0.1, "a general rotation is more than one about the vertical"


def test_each_object_has_its_own_rotation_of_the_seed(random_maps: MapFile) -> None:
    rotated = rotate_maps(random_maps, "so3", seed=3)
    matrices = draw_rotations(len(random_maps), np.random.default_rng(3))
    rows = np.array([5, 2, 40])
    for row, map_of_row in zip(rows, rotated.read(rows), strict=True):
        wanted = rotate(random_maps.read(np.array([row]))[0], random_maps.basis, matrices[row])
        np.testing.assert_allclose(map_of_row, wanted, atol=1e-6)
    assert len({round(float(matrix[0, 0]), 9) for matrix in matrices}) == len(random_maps)
    assert not np.array_equal(rotated.read(), rotate_maps(random_maps, "so3", seed=4).read())
    digests = {rotate_maps(random_maps, pose, seed).digest for pose in ("vertical", "so3") for seed in (3, 4)}
    assert len(digests | {random_maps.digest}) == 5


def test_rotations_are_uniform() -> None:
    matrices = draw_rotations(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20_000, 3, 3)), atol=1e-9
    )
    assert np.linalg.det(matrices).min() > 0.99
    # uniform over SO(3): every column uniform on the sphere, so each coordinate uniform in [-1, 1]; and of the angle
    # (1 - cos) / pi the density, whose mean is pi / 2 + 2 / pi
    assert np.abs(matrices.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.01)
    angles = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert angles.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.02)


def test_rotated_maps_have_no_points_and_aligned_ones_are_the_file_itself(random_maps: MapFile) -> None:
    assert rotate_maps(random_maps, "aligned") is random_maps
    with pytest.raises(UserError, match="no points"):
        rotate_maps(random_maps, "vertical").read_points()


def test_unknown_poses_and_images_are_refused(random_maps: MapFile, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown pose"):
        rotate_maps(random_maps, "upside-down")
    images = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 8, 8))
    with pytest.raises(UserError, match="images"):
        rotate_maps(images, "vertical")


def test_the_probe_scores_the_rotated_maps(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(6), train=90, test=90)
    settings = ("steps=2", "width=4", "code=8", "hidden=8")
    run = spectral_ssl.pretrain(maps, epochs=1, settings=settings, out=tmp_path / "run")
    scores = {
        pose: {row.features: row.neighbours for row in probe_run(run, maps, 1, probes=["neighbours"], pose=pose).rows}
        for pose in ("aligned", "so3")
    }
    assert scores["aligned"]["rotation invariants"] == scores["so3"]["rotation invariants"]
    for name in ("raw coefficients", "trained network"):
        assert scores["so3"][name] < scores["aligned"][name] - 0.1, name
