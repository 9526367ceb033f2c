"""Classifiers that probes fit on frozen features."""
