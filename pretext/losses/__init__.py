"""Losses as importable units."""
