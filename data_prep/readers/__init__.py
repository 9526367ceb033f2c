"""Readers of files: vertices and faces, points, voxels, pixels."""
