"""Scores of frozen features on labels, next to baselines that need no training."""
