"""Sections about the data."""
