"""``python -m spectral_ssl`` is ``spectral-ssl``."""

from spectral_ssl.cli.app import main

main()
