"""The verbs about human studies."""
