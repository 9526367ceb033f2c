"""Sections about the run itself."""
