"""The map file: reading it and writing it."""
