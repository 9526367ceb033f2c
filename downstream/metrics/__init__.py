"""Measures of generated images, reconstructions and features."""
