"""Fetching raw data: what may be fetched, resuming, unpacking."""
