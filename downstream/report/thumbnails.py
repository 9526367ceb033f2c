"""What items look like, small: an image as it is, an object as its cloud, else the first channel of its map."""

import numpy as np
from numpy.typing import NDArray

from data_prep.map_store import MapFile
from downstream.report.pictures import cloud_pixels, enlarged, image_pixels, map_pixels

ROWS_AT_ONCE = 256


def thumbnails(maps: MapFile, rows: NDArray[np.int64], side: int) -> list[NDArray[np.uint8]]:
    """Pictures of the given rows, (H, W, 3) bytes with the longer side of ``side`` pixels."""
    pictures: list[NDArray[np.uint8]] = []
    for block in np.array_split(rows, max(1, -(-len(rows) // ROWS_AT_ONCE))):
        if maps.has_points:
            pictures += [cloud_pixels(points, side) for points in maps.read_points(block)]
        elif maps.basis.kind == "pixels":
            pictures += [enlarged(image_pixels(image), side) for image in maps.read(block)]
        else:
            standard = (maps.read(block)[:, 0] - maps.mean[0]) / maps.std[0]
            pictures += [enlarged(map_pixels(channel, 2.0), side) for channel in standard]
    return pictures
