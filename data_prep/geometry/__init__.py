"""Geometry of meshes and clouds: unit ball, sampled points, quadrature nodes, level surfaces."""
