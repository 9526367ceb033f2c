"""Small images in the page: pixel images, spectral maps and clouds as PNG or JPEG in data URIs."""

from base64 import b64encode
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.figures.shapes import AZIMUTH, ELEVATION

BLUE, RED = np.array([33, 102, 172]), np.array([178, 24, 43])
JPEG_QUALITY = 80
NEAR, FAR = np.array([23, 55, 94]), np.array([150, 190, 225])
ROWS_AT_ONCE = 256


def render_pixels(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Convert an image (1 or more, H, W) of values in [-1, 1] to (H, W, 3) bytes; only three channels are shown."""
    shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.asarray(np.round((np.clip(np.nan_to_num(shown), -1, 1) + 1) * 127.5), np.uint8).transpose(1, 2, 0)


def render_map(channel: NDArray[np.floating], largest: float) -> NDArray[np.uint8]:
    """Convert one channel (H, W) of a map to (H, W, 3) bytes: blue below zero, red above, full at ``largest``."""
    share = np.clip(np.nan_to_num(channel) / (largest or 1.0), -1, 1)[..., None]
    colours = 255 + np.where(share < 0, -share * (BLUE - 255), share * (RED - 255))
    return np.asarray(np.round(colours), np.uint8)


def draw_cloud(points: NDArray[np.floating], side: int) -> NDArray[np.uint8]:
    """Draw a cloud (P, 3) in the unit ball, +z up, from slightly above: (side, side, 3) bytes on white."""
    elevation, azimuth = np.radians(ELEVATION), np.radians(AZIMUTH)
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    towards = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    up = np.cross(towards, right)
    x, y, depth = points @ right, points @ up, points @ towards
    order = np.argsort(depth)  # nearer points are drawn last, over the others
    extent = float(np.max(np.abs([x, y]), initial=1e-9)) * 1.05
    column = np.clip(((x / extent + 1) / 2 * side).astype(int), 0, side - 1)[order]
    row = np.clip(((1 - y / extent) / 2 * side).astype(int), 0, side - 1)[order]
    share = (depth[order] - depth.min(initial=0)) / max(float(np.ptp(depth)) if len(depth) else 0.0, 1e-9)
    canvas = np.full((side, side, 3), 255, np.uint8)
    canvas[row, column] = np.round(FAR + share[:, None] * (NEAR - FAR)).astype(np.uint8)
    return canvas


def resize(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale an image (H, W, 3) to about ``side`` pixels by repeating or averaging; its proportions stay."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(pixels).resize(size, method))


def encode_png(pixels: NDArray[np.uint8]) -> str:
    """Encode an image (H, W, 3) as a PNG in a data URI."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def encode_sheet(pixels: NDArray[np.uint8], few_colours: bool) -> str:
    """Encode a large image (H, W, 3) in a data URI: a PNG of 32 colours, or a JPEG of more."""
    from PIL import Image

    buffer = BytesIO()
    if few_colours:
        Image.fromarray(pixels).quantize(32).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/{'png' if few_colours else 'jpeg'};base64,{b64encode(buffer.getvalue()).decode()}"


def arrange_sheet(images: list[NDArray[np.uint8]], side: int, columns: int) -> NDArray[np.uint8]:
    """Arrange images in cells of side x side pixels, line by line, on white."""
    lines = -(-len(images) // columns)
    sheet = np.full((lines * side, columns * side, 3), 255, np.uint8)
    for number, image in enumerate(images):
        small = resize(image, side)
        top, left = number // columns * side, number % columns * side
        sheet[top : top + small.shape[0], left : left + small.shape[1]] = small
    return sheet


def make_thumbnails(maps: MapFile, rows: NDArray[np.int64], side: int) -> list[NDArray[np.uint8]]:
    """Draw the given rows as images of (H, W, 3) bytes whose longer side has ``side`` pixels."""
    images: list[NDArray[np.uint8]] = []
    for block in np.array_split(rows, max(1, -(-len(rows) // ROWS_AT_ONCE))):
        if maps.has_points:
            images += [draw_cloud(points, side) for points in maps.read_points(block)]
        elif maps.basis.kind == "pixels":
            images += [resize(render_pixels(image), side) for image in maps.read(block)]
        else:
            standard = (maps.read(block)[:, 0] - maps.mean[0]) / maps.std[0]
            images += [resize(render_map(channel, 2.0), side) for channel in standard]
    return images
