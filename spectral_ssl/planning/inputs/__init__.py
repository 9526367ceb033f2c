"""What a verb works with: a run or an encoder, and the maps of files, folders and data sets."""
