"""Figures as PNG files, one file a figure."""
