"""Features of a data set: computing, storing, converting, reducing and searching them."""
