"""Map files to trained runs: tasks (corruptions), networks, one file per method, the training engine."""
