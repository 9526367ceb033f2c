"""Compiled inner loops of the transforms."""
