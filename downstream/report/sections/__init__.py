"""The sections of a report, one file each; ``catalogue`` lists them."""
