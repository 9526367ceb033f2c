"""Pretext tasks, one file each; ``catalogue`` lists them."""
