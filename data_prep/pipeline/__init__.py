"""Preparation of a source into a map file, with several worker processes and one writer."""
