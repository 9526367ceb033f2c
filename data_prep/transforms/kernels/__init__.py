"""The compiled inner loops of the transforms."""
