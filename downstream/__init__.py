"""Trained runs to features and scores: export, probes, figures."""
