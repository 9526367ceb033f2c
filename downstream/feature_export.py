"""Features of every map of a file, by a trained run."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.map_store import MapFile
from downstream.feature_store import Features, write_feature_blocks
from pretext.layers import pooling_in_words
from pretext.processes import ALONE, Processes
from pretext.runs import TrainedRun

NOTHING = np.empty((0, 0), np.float32)


def extract_features(run: TrainedRun, maps: MapFile, processes: Processes = ALONE) -> Features:
    """Encode all maps of a file.

    Parameters
    ----------
    run : TrainedRun
        Its network and its statistics are used, whatever the file's own statistics are.
    maps : MapFile
        Of the run's basis.
    processes : Processes
        Those that share the work; only the first gets the features, the others none.

    Returns
    -------
    Features
        In the file's order.

    Raises
    ------
    UserError
        When the basis is another.
    """
    return _features(run, maps, run.encode_file(maps, processes=processes))


def export_features(
    path: Path, run: TrainedRun, maps: MapFile, *, overwrite: bool = False, processes: Processes = ALONE
) -> None:
    """Encode all maps of a file into a feature file, block by block: memory does not grow with the maps.

    Parameters
    ----------
    path : Path
        The feature file.
    run, maps
        As in ``extract_features``.
    overwrite : bool
        Whether an existing file may be replaced.
    processes : Processes
        This process and those that take their share of the blocks; the first one writes.

    Raises
    ------
    UserError
        When the basis is another, or the file exists already or cannot be written.
    """
    blocks = run.encode_blocks(maps, processes=processes)
    if processes.first:
        write_feature_blocks(path, _features(run, maps, NOTHING), blocks, overwrite=overwrite)
    else:
        for _ in blocks:  # the first process gets them
            pass


def _features(run: TrainedRun, maps: MapFile, values: NDArray[np.float32]) -> Features:
    return Features(
        values=values,
        ids=maps.ids,
        labels=maps.labels,
        splits=maps.splits,
        classes=maps.classes,
        about={
            "layer": run.layer,
            "pooling": pooling_in_words(run.layer),
            "checkpoint_digest": run.checkpoint_digest,
            "data_digest": maps.digest,
            "config": run.plan.to_toml(),
            "basis": maps.basis.to_json(),
            "source": maps.source,
        },
    )
