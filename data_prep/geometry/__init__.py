"""Meshes and clouds: into the unit ball, to points, to quadrature nodes, and surfaces out of values."""
