"""Transform points to spectral coefficients, and rotate, mirror, describe and invert coefficients."""
