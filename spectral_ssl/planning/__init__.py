"""What a verb is to do, settled before it starts."""
