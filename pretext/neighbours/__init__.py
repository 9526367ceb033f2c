"""Neighbour mining in feature space: exact and approximate."""
