"""The verbs about features."""
