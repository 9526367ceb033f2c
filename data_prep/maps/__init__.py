"""The map file: a reader and a writer."""
