"""The task from-code: the codes of a data set, and neighbours in the space of codes."""
