"""Sources of computed clouds are prepared many at once, with the same maps as one by one."""

import numpy as np
import pytest

from data_prep import Item, Source, move_to_unit_ball, prepare_maps, zernike_basis
from data_prep.basis import harmonics_basis, radial_basis
from data_prep.pipeline.object_to_map import object_to_map
from data_prep.pipeline.shape_to_map import cloud_to_map
from data_prep.source import CloudRow
from spectral_ssl.ground.errors import UserError

BASIS = zernike_basis(degree=3, points=20, seed=7)


def make_clouds(indices, seed, points):
    generators = [np.random.default_rng([seed, int(index)]) for index in indices]
    clouds = [move_to_unit_ball(each.normal(size=(points, 3)) * (1, 2, 3)) for each in generators]
    return np.stack(clouds) if clouds else np.empty((0, points, 3), np.float32)


@pytest.fixture
def source():
    items = [Item(f"row-{row}", -1, "train", CloudRow(make_clouds, row)) for row in range(150)]
    return Source("rows", "shapes", items=tuple(items), classes=())


def test_a_file_of_computed_clouds_holds_their_maps_with_seed_and_points_of_the_basis(source, tmp_path):
    maps = prepare_maps(source, BASIS, tmp_path / "rows.h5", keep_points=True)
    clouds = make_clouds(range(150), 7, 20)
    assert np.array_equal(maps.read()[149], cloud_to_map(clouds[149], BASIS))
    assert len(maps) == 150
    assert maps.labels.tolist() == [-1] * 150
    kept = maps.read_points(np.arange(150))
    assert np.abs(kept - clouds).max() < 1e-3


def test_one_object_has_the_map_that_it_has_among_others(source, tmp_path):
    maps = prepare_maps(source, BASIS, tmp_path / "rows.h5", workers=0)
    one, cloud = object_to_map(source.items[130], BASIS, "+z")
    assert np.array_equal(one, maps.read()[130])
    assert cloud.shape == (20, 3)


@pytest.mark.parametrize("up", ["+z", "-y"])
def test_other_bases_and_axes_turn_the_clouds_as_those_of_files(source, up):
    basis = harmonics_basis(3, 2, 20, 7)
    _, cloud = object_to_map(source.items[3], basis, up)
    made = make_clouds([3], 7, 20)[0]
    assert np.allclose(cloud, move_to_unit_ball(made, up), atol=1e-6)


def test_a_basis_of_meshes_fails_with_the_reason(source, tmp_path):
    pytest.importorskip("embreex")
    with pytest.raises(UserError, match="a cloud where a mesh is needed"):
        prepare_maps(source, radial_basis(3), tmp_path / "rows.h5")
