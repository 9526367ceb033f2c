"""What is scored: the split of the labelled maps, the scores of a row, and the verdict."""
