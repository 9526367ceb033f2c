"""The sections of a report, one file for each; ``catalogue`` lists them."""
