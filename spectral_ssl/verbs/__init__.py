"""The verbs: one file each, with the function that the command line and ``spectral_ssl.VERB`` call."""
