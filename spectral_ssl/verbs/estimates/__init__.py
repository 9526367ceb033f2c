"""The dry runs: how long a verb would take."""
