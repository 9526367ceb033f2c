"""The verbs that check files and this machine."""
