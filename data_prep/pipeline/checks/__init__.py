"""Checks before a preparation: copies among the raw files, and an existing map file."""
