"""Encoders that read Zernike moments as a density on the cells of a cube."""
