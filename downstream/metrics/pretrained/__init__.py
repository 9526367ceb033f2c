"""Networks with published weights that metrics are computed with."""
