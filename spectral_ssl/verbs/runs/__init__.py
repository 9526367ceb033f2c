"""The verbs about runs."""
