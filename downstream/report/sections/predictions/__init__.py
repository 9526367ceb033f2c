"""Sections about the predictions."""
