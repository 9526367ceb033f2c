"""Sections about the features."""
