"""``python -m spectral_ssl`` is ``spectral-ssl``."""

from spectral_ssl.cli import main

main()
