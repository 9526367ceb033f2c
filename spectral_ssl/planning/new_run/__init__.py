"""What a new run starts from, other than a map file: the universe, or the weights of another run."""
