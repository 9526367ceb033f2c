"""Networks with published weights, which some metrics need."""
