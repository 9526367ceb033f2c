"""Images that are read, cropped and scaled."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from data_prep.readers.image import read_image, resize_square
from spectral_ssl.ground.errors import ObjectError


def test_resize_square_crops_the_middle_and_averages() -> None:
    image = np.arange(4 * 12, dtype=np.uint8).reshape(1, 4, 12)
    middle = image[0, :, 4:8]
    np.testing.assert_array_equal(resize_square(image, 4)[0], middle)
    expected = middle.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    assert np.abs(resize_square(image, 2)[0] - expected).max() <= 0.5
    assert resize_square(np.repeat(image, 6, axis=0), 8).shape == (6, 8, 8)
    # a white square grows and shrinks without ringing
    white = np.full((3, 7, 7), 255, np.uint8)
    assert (resize_square(white, 5) == 255).all()
    assert (resize_square(white, 16) == 255).all()


def test_sixteen_bit_images_are_refused_and_not_turned_white(tmp_path: Path) -> None:
    Pillow.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(tmp_path / "deep.png")
    with pytest.raises(ObjectError, match="8 bits"):
        read_image(tmp_path / "deep.png")
