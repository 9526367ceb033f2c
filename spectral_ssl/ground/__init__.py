"""What all four stages stand on. Nothing in here imports torch."""
