"""The training loop and what it stands on: processes, precision, checkpoints."""
