"""Pretext tasks, one file each; ``catalogue`` lists them."""

# a line for each, here and not in the catalogue so that a list of them imports no torch
DESCRIPTIONS: dict[str, str] = {
    "alternate": "the hidden part of some targets has a white mark",
    "colorize": "lightness in, colours out (CIELAB)",
    "complete-shape": "one side of a shape's points is missing; predict the map of the whole shape",
    "corrupted": "some images are corrupted, and a part of the top half is hidden; recover it",
    "denoise": "a block or band of the map is hidden or noised; recover the map",
    "from-code": "from features (or a class, or noise alone) to an image or a spectral map",
    "inpaint": "a part of an image is hidden; predict it",
    "picture-views": "two altered copies of each image, for joint-embedding",
    "mask-shape": "a part of the map of an altered shape is hidden; predict the map",
    "mixture": "a point of eight Gaussians on a circle, from a condition without information",
    "super-resolve": "from a small image to one with four times as many rows and columns",
    "toy": "one number x with two solutions, y = +-4 (x, x^2, x^3)",
    "translate": "from one image of a pair to the other",
    "views": "two altered copies of each shape's points, for joint-embedding",
}
