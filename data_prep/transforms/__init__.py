"""Points to spectral coefficients, and what can be done with coefficients."""
