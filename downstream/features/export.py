"""Encode every map of a file with a trained run, in memory or into a feature file.

Letters in shapes: N maps, B maps of a block, D features.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.features.pca import Reduction, components_error, count_most_components, fit_reduction, reduce_features
from downstream.features.store import COMPONENTS_NOTE, Features, write_feature_blocks
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import describe_pooling
from pretext.runs.inputs import require_finite
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import ALONE, Distributed

NO_VALUES = np.empty((0, 0), np.float32)
# Principal components are fitted on at most 20,000 training samples with 10^8 values in all
# (400 MB), so that memory does not grow with the number of maps.
MOST_FITTED_SAMPLES, MOST_FITTED_VALUES = 20_000, 10**8


def extract_features(
    run: TrainedRun, maps: MapFile, processes: Distributed = ALONE, *, components: int = 0
) -> Features:
    """Encode all maps of a file.

    Parameters
    ----------
    run : TrainedRun
        Run with the encoder. Maps are standardised with the statistics of the run's training data,
        not with those of ``maps``.
    maps : MapFile
        N maps with the basis of the run.
    processes : Distributed
        Processes that share the work. Only the main process gets values; the others get none.
    components : int
        Number of principal components to keep, see ``export_features``. 0 keeps all features.

    Returns
    -------
    Features
        Features (N, D) or (N, components), float32, in the order of the file.

    Raises
    ------
    UserError
        If the maps have another basis, or there are fewer components than requested.

    Examples
    --------
    >>> from downstream.features import extract_features
    >>> features = extract_features(run, maps)
    >>> len(features.values) == len(maps)
    True
    """
    blocks = [*_encode_blocks(run, maps, components, processes)]
    return describe_features(run, maps, np.concatenate(blocks) if blocks else NO_VALUES, components)


def export_features(
    path: Path,
    run: TrainedRun,
    maps: MapFile,
    *,
    components: int = 0,
    overwrite: bool = False,
    processes: Distributed = ALONE,
) -> None:
    """Encode all maps of a file into a feature file.

    The file is written block by block, so memory does not grow with the number of maps.

    Parameters
    ----------
    path : Path
        Feature file to write.
    run : TrainedRun
        Run with the encoder, as in ``extract_features``.
    maps : MapFile
        N maps with the basis of the run.
    components : int
        0 keeps all features as they are. Another number keeps so many principal components of the
        standardised features. They are fitted on at most 20,000 evenly spaced samples of the
        training split (fewer if a sample has more than 5,000 features). All samples are used if
        the file has no training split.
    overwrite : bool
        Whether an existing file may be replaced.
    processes : Distributed
        Processes that share the blocks. The main process writes.

    Raises
    ------
    UserError
        If the maps have another basis, there are fewer components than requested, or the file
        exists already or cannot be written.

    Examples
    --------
    >>> from downstream.features import export_features, read_features
    >>> export_features(folder / "features.h5", run, maps, components=3)
    >>> read_features(folder / "features.h5").values.shape == (len(maps), 3)
    True
    """
    blocks = _encode_blocks(run, maps, components, processes)
    if processes.is_main:
        write_feature_blocks(path, describe_features(run, maps, NO_VALUES, components), blocks, overwrite=overwrite)
    else:
        for _ in blocks:  # The main process receives the blocks that are computed here.
            pass


def _encode_blocks(
    run: TrainedRun, maps: MapFile, components: int, processes: Distributed
) -> Iterator[NDArray[np.float32]]:
    """Yield features (B, D) or (B, components) block by block in the main process, nothing in the others."""
    blocks = run.encode_blocks(maps, processes=processes)
    if not components:
        done = 0
        for block in blocks:
            yield require_finite(block, maps.ids[done : done + len(block)])
            done += len(block)
        return
    check_same_basis(run.basis, maps)
    rows = maps.rows("train") if len(maps.rows("train")) else maps.rows()
    dimensions = run.encode(maps.read(rows[:1])).shape[1]
    count = min(len(rows), MOST_FITTED_SAMPLES, max(components + 1, MOST_FITTED_VALUES // dimensions))
    fitted = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]
    if components > count_most_components(count, dimensions):  # An early check saves the encoding.
        raise processes.report_once(components_error(components, count, dimensions))
    values = run.encode_file(maps, fitted, processes)
    models: list[Reduction] = []
    processes.run_on_main(lambda: models.append(fit_reduction(values, components)))  # The others need no copy.
    yield from (reduce_features(models[0], block) for block in blocks)


def describe_features(
    run: TrainedRun, maps: MapFile, values: NDArray[np.float32] = NO_VALUES, components: int = 0
) -> Features:
    """Combine values with the labels of the maps and the description of the run.

    Parameters
    ----------
    run : TrainedRun
        Run with the encoder.
    maps : MapFile
        The maps that were encoded.
    values : ndarray, shape (N, D), float32
        The features; none by default.
    components : int
        The number of principal components that they are; 0 for the features themselves.

    Returns
    -------
    Features
    """
    pooling = describe_pooling(run.layer)
    return Features(
        values=values,
        ids=maps.ids,
        labels=maps.labels,
        splits=maps.splits,
        classes=maps.classes,
        about={
            "layer": run.layer,
            "pooling": f"{pooling}; {components}{COMPONENTS_NOTE}" if components else pooling,
            "checkpoint_digest": run.checkpoint_digest,
            "data_digest": maps.digest,
            "config": run.plan.to_toml(),
            "basis": maps.basis.to_json(),
            "source": maps.source,
        },
    )
