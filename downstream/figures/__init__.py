"""Figures as PNG files; each module draws one kind of figure."""
