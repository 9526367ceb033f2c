"""Map files as training data: batches, standardisation, splits, data sets of torch."""
