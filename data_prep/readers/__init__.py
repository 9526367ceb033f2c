"""A file on disk to vertices, faces, points or pixels."""
