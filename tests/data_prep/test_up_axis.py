"""Tables that do not stand are noticed, on the built-in shapes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.basis import Basis, harmonics_basis, zernike_basis
from data_prep.layout import unfold
from data_prep.pipeline import prepare
from data_prep.shape_maps import cloud_to_map
from data_prep.sources import open_source
from data_prep.sources.item import Source
from data_prep.up_axis import _weights
from data_prep.verify import verify_maps

BASES = [zernike_basis(6, points=256), zernike_basis(5, 3, points=256), harmonics_basis(4, 8, points=256)]


def _tables(*, chairs: bool = False, count: int = 40) -> Source:
    source = open_source("shapes")
    wanted = "chair" if chairs else "table"
    items = [item for item in source.items if source.classes[item.label] == wanted]
    return replace(source, items=tuple(items[:count]))


@pytest.mark.parametrize("basis", BASES)
def test_moments_of_clouds(basis: Basis) -> None:
    clouds = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 50, 3)).astype(np.float32)
    maps = np.stack([cloud_to_map(cloud, basis) for cloud in clouds])
    measured = unfold(maps, basis) @ _weights(basis)
    scale = measured.std() / (clouds**3).sum(axis=1).std()
    expected = (clouds**3).sum(axis=1) * scale
    if basis.kind == "zernike":
        np.testing.assert_allclose(measured, expected, atol=1e-4 * np.abs(expected).max())
    else:
        assert np.corrcoef(measured.ravel(), expected.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("basis", BASES)
def test_turned_tables_are_noticed(tmp_path: Path, basis: Basis) -> None:
    def findings(up: str, source: Source) -> list[str]:
        return verify_maps(prepare(source, basis, tmp_path / "a.h5", workers=0, up=up, overwrite=True).path)

    assert findings("+z", _tables()) == []
    # +z is what stands in the files: taken for another axis, the tops come to lie there in the maps
    for up, lies in (("-z", "-z"), ("+y", "-y"), ("-y", "+y"), ("+x", "-x"), ("-x", "+x")):
        (finding,) = findings(up, _tables())
        assert "looks turned" in finding
        assert f"up along {lies} " in finding
    # nothing can be told by chairs, or by a few tables
    assert findings("+y", _tables(chairs=True)) == []
    assert findings("+y", _tables(count=19)) == []
    unlabelled = replace(_tables(), items=tuple(replace(item, label=-1) for item in _tables().items))
    assert findings("+y", unlabelled) == []
