"""Files, settings, errors and messages that all four packages share. Nothing in here imports torch."""
