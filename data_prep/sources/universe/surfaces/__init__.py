"""Surfaces of shapes: parts, their outlines, points uniform by area, membership, deformations."""
