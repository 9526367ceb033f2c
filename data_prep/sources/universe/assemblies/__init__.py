"""Assemblies: how parts make a shape. Each module has a few kinds of objects."""
