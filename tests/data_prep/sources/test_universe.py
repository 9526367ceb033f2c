"""The universe: shapes that depend on their numbers alone, and points that are uniform on the surface of unions."""

import subprocess
import sys
from dataclasses import fields, replace
from math import pi, sqrt

import numpy as np
import pytest

import spectral_ssl
from data_prep import move_to_unit_ball
from data_prep.sources.catalogue import open_source
from data_prep.sources.universe import VERSION, Ingredients, universe_clouds
from data_prep.sources.universe.kernel import make_clouds
from data_prep.sources.universe.surfaces import deformation, parts
from data_prep.sources.universe.surfaces import scene as table
from spectral_ssl.ground.errors import UserError

DRAWN = 6000
ON = np.ones(12)
# index -> number of parts, sum of the areas with which they are sampled, mean absolute coordinates of 256 points
GOLDEN = {
    0: (6, 5.556523, (0.3967, 0.2094, 0.3102)),
    1: (4, 3.52579, (0.2103, 0.1936, 0.3622)),
    2: (2, 5.060798, (0.4244, 0.3964, 0.0426)),
    3: (6, 7.652288, (0.4174, 0.3078, 0.3118)),
    4: (5, 1.664955, (0.1288, 0.2847, 0.2296)),
    5: (17, 2.291217, (0.2042, 0.2212, 0.376)),
    2**63 - 1: (37, 1.409957, (0.0911, 0.6047, 0.0885)),
}


def rows_of(scene):
    """Return the rows of the parts of a scene."""
    return scene[table.FIRST_PART : table.FIRST_PART + int(scene[0, table.COUNT])]


def scenes_of(indices, ingredients=None):
    """Return scenes, deformations and clouds of some shapes."""
    values = np.array([getattr(ingredients or Ingredients(), each.name) for each in fields(Ingredients)])
    clouds = np.empty((len(indices), 256, 3), np.float32)
    keys = np.array(indices, np.uint64)
    return *make_clouds(keys, VERSION, 0, values, clouds, keep_scenes=True), clouds


def add(scene, kind, area, sizes, position=(0, 0, 0), scale=(1, 1, 1), owner=-1, outline=0):
    """Add a part to a scene by hand, with the area that theory gives it."""
    row = table.FIRST_PART + int(scene[0, table.COUNT])
    scene[0, table.COUNT] += 1
    part = scene[row]
    part[table.KIND], part[table.OWNER], part[table.OUTLINE] = kind, owner, outline
    part[table.SIZES : table.SIZES + len(sizes)] = sizes
    part[table.SCALE : table.SCALE + 3], part[table.POSITION : table.POSITION + 3] = scale, position
    part[table.ROTATION : table.ROTATION + 9] = np.eye(3).ravel()
    x, y, z = scale
    part[table.INVERSE : table.INVERSE + 3] = 1 / x, 1 / y, 1 / z
    part[table.STRETCH] = max(x * y, y * z, x * z)
    part[table.WEIGHT] = area * part[table.STRETCH]
    part[table.LOW : table.LOW + 3], part[table.HIGH : table.HIGH + 3] = -5, 5  # Any box around the part will do.
    if owner >= 0:
        scene[owner, table.HOLES] += 1
    return row


def add_outline(scene, corners, revolved):
    """Add an outline to a scene by hand; return its row and the sum over its edges."""
    row = table.FIRST_OUTLINE
    corners = np.array(corners, float)
    scene[row, table.CORNERS] = len(corners)
    scene[row, table.CORNER : table.CORNER + corners.size] = corners.ravel()
    following = np.roll(corners, -1, axis=0)
    lengths = np.linalg.norm(following - corners, axis=1)
    sums = np.cumsum(pi * (corners + following)[:, 0] * lengths if revolved else lengths)
    scene[row + 1, table.EDGE_SUM : table.EDGE_SUM + len(sums)] = sums
    scene[row + 1, table.BOUNDS : table.BOUNDS + 4] = *corners.min(axis=0), *corners.max(axis=0)
    return row, sums[-1]


def sample(scene, low, high):
    """Draw points of a scene, and move them back: from ``low`` to ``high`` along x, and centred along y and z."""
    clouds = np.empty((1, DRAWN, 3), np.float32)
    make_clouds(np.array([3], np.uint64), 1, 0, ON, clouds, given=scene[None])
    cloud = clouds[0].astype(float)
    least, most = cloud.min(axis=0), cloud.max(axis=0)
    return (cloud - (least + most) / 2) * (high - low) / (most - least)[0] + np.array([(low + high) / 2, 0, 0])


def assert_share(is_there, expected):
    """Check a share of the points against theory, within five standard deviations of independent points."""
    assert abs(np.mean(is_there) - expected) < 5 * sqrt(expected * (1 - expected) / DRAWN) + 1e-3


def test_clouds_are_the_same_in_any_batch_thread_and_process():
    clouds = universe_clouds(range(12), points=64, seed=5)
    assert np.array_equal(universe_clouds([7, 2, 11], points=64, seed=5, threads=3), clouds[[7, 2, 11]])
    assert not np.array_equal(universe_clouds([7], points=64), clouds[[7]])
    code = (
        "from data_prep.sources.universe import universe_clouds as f; print(f([9], points=64, seed=5).tobytes().hex())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == clouds[9].tobytes().hex()


def test_clouds_are_moved_as_all_clouds_are():
    clouds = universe_clouds(range(40), points=128)
    norms = np.linalg.norm(clouds, axis=2).max(axis=1)
    assert np.allclose(norms, 1 / 1.0001, atol=1e-6)
    assert np.allclose(clouds, [move_to_unit_ball(cloud) for cloud in clouds], atol=2e-6)


def test_golden_shapes():
    scenes, _, clouds = scenes_of(list(GOLDEN))
    for scene, cloud, (count, area, means) in zip(scenes, clouds, GOLDEN.values(), strict=True):
        assert len(rows_of(scene)) == count
        assert rows_of(scene)[:, table.WEIGHT].sum() == pytest.approx(area, rel=1e-5)
        # Rounding differs between processors, so that a few points may be others.
        assert np.abs(cloud).mean(axis=0) == pytest.approx(means, abs=5e-3)


def test_a_box_and_a_box_that_sticks_out_of_it():
    scene = np.zeros((table.ROWS, table.WIDTH))
    add(scene, parts.BOX, 24, (1, 1, 1))
    add(scene, parts.BOX, 8 * 1.25, (1, 0.5, 0.5), (1, 0, 0))  # from x = 0 to 2, so half of it is inside
    cloud = sample(scene, -1, 2)
    outside = cloud[:, 0] > 1 + 1e-4
    assert_share(outside, 5 / (24 - 1 + 5))  # four sides of 1 x 1 and the end; the first box lacks 1
    inner = np.abs(cloud[:, 1:]).max(axis=1)
    assert not ((np.abs(cloud[:, 0]) < 1 - 1e-4) & (inner < 1 - 1e-3)).any()  # inside the first box
    assert not ((np.abs(cloud[:, 0] - 1) < 1e-4) & (inner < 0.5 - 1e-3)).any()  # where the second enters it


def test_of_two_faces_in_one_plane_one_is_sampled():
    scene = np.zeros((table.ROWS, table.WIDTH))
    add(scene, parts.BOX, 24, (1, 1, 1))
    add(scene, parts.BOX, 24, (1, 1, 1), (1, 0, 0))
    cloud = sample(scene, -1, 2)
    assert_share(np.abs(cloud[:, 0] - 0.5) < 0.5, 1 / 3 * 24 / 32)  # of the sides, and the ends have 8 of 32


def test_a_hole_through_a_box():
    scene = np.zeros((table.ROWS, table.WIDTH))
    owner = add(scene, parts.BOX, 24, (1, 1, 1))
    add(scene, parts.BOX, 8 * (0.25 + 0.5 * 1.2 * 2), (0.5, 0.5, 1.2), owner=owner)
    cloud = sample(scene, -1, 1)
    assert_share(np.abs(cloud[:, :2]).max(axis=1) < 0.5 + 1e-3, 8 / (24 - 2 + 8))


def test_faces_of_round_parts_have_their_shares():
    scene = np.zeros((table.ROWS, table.WIDTH))
    slant = sqrt(0.25 + 4)
    total = pi * (1 + 0.25 + 1.5 * slant)
    add(scene, parts.FRUSTUM, total, (1, 0.5, 1))
    cloud = sample(scene, -1, 1)
    z = cloud[:, 2] - cloud[:, 2].min()
    assert_share(z < 1e-4, pi / total)
    assert_share(z > 2 - 1e-2, 0.25 * pi / total + 0.005 * pi * slant / total / 2)
    side = z[(z > 1e-3) & (z < 2 - 1e-2)]
    assert abs(np.mean(side < 1) - 1.75 / 3) < 5 * sqrt(0.25 / len(side))  # The lower half is larger.


def test_a_torus_is_denser_outside_than_its_angle():
    scene = np.zeros((table.ROWS, table.WIDTH))
    add(scene, parts.TORUS, 4 * pi**2 * 0.5, (1, 0.5, pi))
    cloud = sample(scene, -1.5, 1.5)
    assert_share(np.hypot(cloud[:, 0], cloud[:, 1]) > 1, 0.5 + 0.5 / pi)


def test_a_flattened_sphere_is_uniform_by_the_area_after_the_scale():
    scene = np.zeros((table.ROWS, table.WIDTH))
    add(scene, parts.SPHERE, 4 * pi, (1,), scale=(1, 1, 0.25))
    cloud = sample(scene, -1, 1)
    eccentricity = sqrt(1 - 0.25**2)
    area = 2 * pi * (1 + (1 - eccentricity**2) / eccentricity * np.arctanh(eccentricity))
    angle = np.linspace(0, pi / 2, 20001)
    ring = 2 * pi * np.sin(angle) * np.hypot(0.25 * np.sin(angle), np.cos(angle))
    polar = 2 * np.trapezoid(ring[angle < np.arcsin(0.5)], angle[angle < np.arcsin(0.5)])
    assert_share(np.hypot(cloud[:, 0], cloud[:, 1]) < 0.5, polar / area)


@pytest.mark.parametrize("kind", [parts.ROUNDED, parts.STADIUM])
def test_rounded_boxes_have_the_shares_of_their_flat_faces(kind):
    scene = np.zeros((table.ROWS, table.WIDTH))
    a, b, c, d = 0.7, 0.5, 0.4, 0.3
    if kind == parts.ROUNDED:
        flat = 8 * a * b
        total = 8 * (a * b + b * c + a * c) + 4 * pi * d * (a + b + c) + 4 * pi * d * d
    else:
        flat = 8 * a * b + 8 * d * (a + b) + 2 * pi * d * d
        total = flat + (4 * a + 4 * b + 2 * pi * d) * 2 * c
    add(scene, kind, total, (a, b, c, d))
    cloud = sample(scene, -1, 1)
    half = np.ptp(cloud[:, 2]) / 2
    height = np.abs(cloud[:, 2] - cloud[:, 2].min() - half)
    # Near the top a rounded edge adds a little: within 1e-4 of it 0.8 % of its circumference.
    assert_share(height > half - 1e-4, flat / total + (0.004 if kind == parts.ROUNDED else 0))


def test_an_extruded_letter_has_the_shares_of_its_caps():
    scene = np.zeros((table.ROWS, table.WIDTH))
    row, length = add_outline(scene, [(-1, -1), (1, -1), (1, -0.5), (-0.5, -0.5), (-0.5, 1), (-1, 1)], False)
    add(scene, parts.PRISM, 2 * 4 + 2 * length * 0.3, (0.3,), outline=row)  # Caps are drawn in their bounds, 2 x 2.
    cloud = sample(scene, -1, 1)
    half = np.ptp(cloud[:, 2]) / 2
    caps = np.abs(cloud[:, 2] - cloud[:, 2].min() - half) > half - 1e-4
    assert_share(caps, 2 * 1.75 / (2 * 1.75 + length * 0.6))


def test_a_revolved_profile_has_the_shares_of_its_bands():
    scene = np.zeros((table.ROWS, table.WIDTH))
    row, area = add_outline(scene, [(0, 0), (1, 0), (1, 0.5), (0.4, 0.8), (0.4, 1.5), (0, 1.5)], True)
    add(scene, parts.LATHE, area, (pi,), outline=row)
    cloud = sample(scene, -1, 1)
    z = cloud[:, 2] - cloud[:, 2].min()
    assert_share(z < 1e-4, pi / area)
    assert_share((z > 0.8) & (z < 1.5 - 1e-3), 0.8 * pi * 0.7 / area)


def test_each_ingredient_can_be_left_out():
    indices = list(range(150))
    everything = scenes_of(indices)
    kinds = np.concatenate([rows_of(scene)[:, table.KIND] for scene in everything[0]])
    assert set(kinds) == set(range(8))
    assert any((rows_of(scene)[:, table.OWNER] > 0).any() for scene in everything[0])

    scenes = scenes_of(indices, replace(Ingredients(), holes=0.0, profiles=0.0))[0]
    rows = np.concatenate([rows_of(scene) for scene in scenes])
    assert (rows[:, table.OWNER] < 0).all()
    assert not np.isin(rows[:, table.KIND], (parts.PRISM, parts.LATHE)).any()

    _, made, _ = scenes_of(indices, replace(Ingredients(), warps=0.0, scans=0.0))
    assert set(made[:, deformation.KIND]) <= {deformation.NONE, deformation.TAPER}
    assert not made[:, [deformation.SCAN_KIND, deformation.NOISE]].any()

    plain = np.concatenate([rows_of(scene) for scene in scenes_of(indices, Ingredients.build_plain())[0]])
    assert set(plain[:, table.KIND]) == {parts.BOX, parts.FRUSTUM, parts.SPHERE, parts.TORUS}


def test_the_source_lists_as_many_shapes_as_asked():
    source = open_source("universe", count=3)
    assert [item.id for item in source.items] == ["universe-0000000", "universe-0000001", "universe-0000002"]
    assert {item.label for item in source.items} == {-1}
    assert source.items[2].load().points == pytest.approx(universe_clouds([2])[0])


@pytest.mark.parametrize(
    "wrong", [{"indices": [-1]}, {"indices": [0.5]}, {"indices": [[1]]}, {"seed": -1}, {"points": 0}, {"threads": 0}]
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UserError):
        universe_clouds(**{"indices": [0], **wrong})


def test_a_count_out_of_range_or_with_another_set_is_refused():
    with pytest.raises(UserError, match="number of shapes"):
        open_source("universe", count=0)
    with pytest.raises(UserError, match="only the universe"):
        open_source("shapes", count=4)
    with pytest.raises(UserError, match="ingredients"):
        Ingredients(thin=2.0)


def test_prep_writes_the_first_shapes(tmp_path):
    maps = spectral_ssl.prep("universe", count=4, degree=4, points=64, workspace=tmp_path)
    assert maps.path.name == "universe-zernike-degree4-points64-count4.h5"
    assert (maps.source, len(maps), maps.labels.tolist()) == ("universe", 4, [-1] * 4)
    assert maps.ids[3] == "universe-0000003"
    assert np.abs(maps.read_points(np.arange(4)) - universe_clouds(range(4), points=64)).max() < 1e-3
    with pytest.raises(UserError, match="count"):
        spectral_ssl.prep("universe", count=0, workspace=tmp_path)
