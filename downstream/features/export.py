"""Features of every map of a file, by a trained run."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.features.pca import fit_reduction, reduced, too_many_components
from downstream.features.store import Features, write_feature_blocks
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import pooling_in_words
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import ALONE, Processes

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

NOTHING = np.empty((0, 0), np.float32)
# Principal components are fitted on at most so many training samples, of so many values in all (400 MB), so that memory
# does not grow with the maps.
FITTED_ON, FITTED_VALUES = 20_000, 10**8


def extract_features(run: TrainedRun, maps: MapFile, processes: Processes = ALONE, *, components: int = 0) -> Features:
    """Encode all maps of a file.

    Parameters
    ----------
    run : TrainedRun
        Its network and its statistics are used, whatever the file's own statistics are.
    maps : MapFile
        Of the run's basis.
    processes : Processes
        Those that share the work; only the first gets the features, the others none.
    components : int
        Principal components that are kept, see ``export_features``.

    Returns
    -------
    Features
        In the file's order.

    Raises
    ------
    UserError
        When the basis is another, or that many components cannot be had.
    """
    blocks = [*_blocks(run, maps, components, processes)]
    return _features(run, maps, np.concatenate(blocks) if blocks else NOTHING, components)


def export_features(
    path: Path,
    run: TrainedRun,
    maps: MapFile,
    *,
    components: int = 0,
    overwrite: bool = False,
    processes: Processes = ALONE,
) -> None:
    """Encode all maps of a file into a feature file, block by block: memory does not grow with the maps.

    Parameters
    ----------
    path : Path
        The feature file.
    run, maps
        As in ``extract_features``.
    components : int
        0: all features as they are. Else so many principal components of the standardised features, fitted on the
        training split (20,000 samples of it at most, evenly spaced; fewer where each has more than 5,000 features),
        or on all samples where there is none.
    overwrite : bool
        Whether an existing file may be replaced.
    processes : Processes
        This process and those that take their share of the blocks; the first one writes.

    Raises
    ------
    UserError
        When the basis is another, that many components cannot be had, or the file exists already or cannot be written.
    """
    blocks = _blocks(run, maps, components, processes)
    if processes.first:
        write_feature_blocks(path, _features(run, maps, NOTHING, components), blocks, overwrite=overwrite)
    else:
        for _ in blocks:  # the first process gets them
            pass


def _blocks(run: TrainedRun, maps: MapFile, components: int, processes: Processes) -> Iterator[NDArray[np.float32]]:
    """Features (B, D) or (B, components) block by block, in the first process; in the others nothing."""
    blocks = run.encode_blocks(maps, processes=processes)
    if not components:
        yield from blocks
        return
    check_same_basis(run.basis, maps)
    rows = maps.rows("train") if len(maps.rows("train")) else maps.rows()
    dimensions = run.encode(maps.read(rows[:1])).shape[1]
    count = min(len(rows), FITTED_ON, max(components, FITTED_VALUES // dimensions))
    some = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]
    if components > min(count, dimensions):  # before the work
        raise processes.once(too_many_components(components, count, dimensions))
    values = run.encode_file(maps, some, processes)
    models: list[Pipeline] = []
    processes.by_first(lambda: models.append(fit_reduction(values, components)))  # the others need no copy of it
    yield from (reduced(models[0], block) for block in blocks)


def _features(run: TrainedRun, maps: MapFile, values: NDArray[np.float32], components: int) -> Features:
    pooling = pooling_in_words(run.layer)
    return Features(
        values=values,
        ids=maps.ids,
        labels=maps.labels,
        splits=maps.splits,
        classes=maps.classes,
        about={
            "layer": run.layer,
            "pooling": f"{pooling}; {components} principal components" if components else pooling,
            "checkpoint_digest": run.checkpoint_digest,
            "data_digest": maps.digest,
            "config": run.plan.to_toml(),
            "basis": maps.basis.to_json(),
            "source": maps.source,
        },
    )
