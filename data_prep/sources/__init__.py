"""The data sets that can be prepared, one file each; ``catalogue`` lists them."""
