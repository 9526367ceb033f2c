"""Features of all maps of a file, stored in a cache folder for later calls."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import busy, say


def load_cached_features(run: TrainedRun, maps: MapFile, cache: Path) -> NDArray[np.float32]:
    """Load the features of all maps of a file from the cache, or compute and store them.

    Parameters
    ----------
    run : TrainedRun
        The run, at the layer whose features are wanted.
    maps : MapFile
        N maps with the basis of the run.
    cache : Path
        The folder of the cache. A file in it belongs to one checkpoint, one layer and one content
        of a map file. A damaged file is computed again.

    Returns
    -------
    ndarray, shape (N, D), float32

    Examples
    --------
    >>> from downstream.features.cached import load_cached_features
    >>> features = load_cached_features(run, maps, folder / "cache")
    >>> bool((features == load_cached_features(run, maps, folder / "cache")).all())
    True
    """
    about = f"{run.checkpoint_digest} {maps.digest} {run.layer} {run.plan.to_toml()}"
    path = cache / f"features-{sha256(about.encode()).hexdigest()[:24]}.npy"
    if path.is_file():
        try:
            stored = np.load(path, allow_pickle=False)
            if stored.dtype == np.float32 and stored.ndim == 2 and len(stored) == len(maps):
                return np.asarray(stored)
        except (OSError, ValueError):
            pass  # damaged: computed again
    say(f"computing the features of all {len(maps)} objects, once for this encoder and data")
    with busy("features"):
        features = run.encode_file(maps)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, features, allow_pickle=False)
    return features
