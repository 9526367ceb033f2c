"""From a source to a map file, in several processes, with one writer."""
