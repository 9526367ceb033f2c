"""Readers of meshes and scenes, one file a format."""
