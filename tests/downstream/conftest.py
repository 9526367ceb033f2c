"""Tests of this folder draw no figures, unless they ask for the fixture ``figures``."""

from figures_off import figures, no_figures
from quick_probing import quick_probes

__all__ = ["figures", "no_figures", "quick_probes"]
