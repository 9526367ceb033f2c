"""Readers of clouds, tables and voxel grids, one file a format."""
