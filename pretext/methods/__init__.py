"""Pretext methods, one file or folder each; ``catalogue`` lists them."""
