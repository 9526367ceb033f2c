"""The source of a user's folder: its files, its splits and classes, and what the user is told about them."""
