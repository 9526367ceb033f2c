"""Run folders: planning, making and loading them."""
