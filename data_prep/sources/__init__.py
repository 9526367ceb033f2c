"""The supported data sets, one file each; ``catalogue`` lists them."""
