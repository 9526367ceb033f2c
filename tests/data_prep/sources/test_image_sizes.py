"""Images of a source are scaled to one size."""

from pathlib import Path

import numpy as np
import pytest
from source_layouts import save_image

from data_prep.pipeline.prepare import find_image_basis, prepare_maps
from data_prep.pipeline.verify import verify_maps
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import UserError


def test_sizes_of_sources(tmp_path: Path) -> None:
    for name, shape in (("a.png", (20, 30, 3)), ("b.png", (40, 16, 3)), ("c.png", (16, 16))):
        save_image(tmp_path / name, np.full(shape, 100, np.uint8))
    plain = open_source(f"folder:{tmp_path}")
    source = open_source(f"folder:{tmp_path}", size=8)
    assert source.digest != plain.digest
    assert source.note.endswith("scaled to 8x8")
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.basis.shape == (3, 8, 8)
    assert not maps.failures
    assert np.allclose(maps.read(), 100 / 127.5 - 1)
    assert verify_maps(tmp_path / "out.h5", source) == []
    # Without a size, images that differ from the first are failures.
    maps = prepare_maps(plain, find_image_basis(plain), tmp_path / "plain.h5")
    assert ["give --size" in reason for _, reason in maps.failures] == [True, True]
    with pytest.raises(UserError, match="size of images out of range"):
        open_source("digits", size=1000)
    with pytest.raises(UserError, match="only images have a size"):
        open_source("shapes", size=64)


def test_large_images_need_a_size(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", np.zeros((10, 600), np.uint8))
    with pytest.raises(UserError, match="give --size, at most 512"):
        find_image_basis(open_source(f"folder:{tmp_path}"))
