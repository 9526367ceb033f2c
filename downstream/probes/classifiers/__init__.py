"""The classifiers that probes fit on frozen features."""
