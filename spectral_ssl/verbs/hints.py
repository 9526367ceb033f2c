"""A word about choices that work but are slow here, said before the work begins."""

import os

from data_prep.basis import Basis
from data_prep.pipeline import TOO_FEW_FOR_WORKERS
from data_prep.sources.item import Source


def prep_hints(source: Source, basis: Basis, workers: int | None) -> list[str]:
    """What would make ``prep`` quicker.

    Parameters
    ----------
    source : Source
        What is to be prepared.
    basis : Basis
        As what.
    workers : int or None
        Processes asked for.

    Returns
    -------
    list of str
        A line for each slow choice; mostly none.
    """
    hints = []
    cores = os.cpu_count() or 1
    if workers in (0, 1) and cores > 1 and len(source.items) >= TOO_FEW_FOR_WORKERS:
        hints.append(f"one process for {len(source.items)} objects: without --workers all {cores} cores would be used")
    if basis.sampling == "farthest":
        # docs/spectral-maps.md: 32 against 2.5 ms a mesh
        hints.append("farthest points take about ten times as long as --sampling area")
    return hints
