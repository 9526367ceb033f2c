"""``export``: features of a map file, as HDF5."""

from pathlib import Path

from data_prep.map_store import MapFile
from downstream.feature_export import extract_features
from downstream.feature_store import write_features
from pretext.layers import DEFAULT
from pretext.runs import TrainedRun, find_run_data, load_run
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.workspace import Workspace


def export(
    run: str | Path | TrainedRun | None = None,
    *,
    data: str | Path | MapFile | None = None,
    layer: str = DEFAULT,
    out: str | Path | None = None,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> Path:
    """Write the features of every map of a file.

    Parameters
    ----------
    run : path or TrainedRun, optional
        The latest run by default.
    data : path or MapFile, optional
        The map file; the one the run was trained on by default. Of another one the run's own statistics are used.
    layer : str
        What of the network the features are: a name of ``list layers``, or several joined by "+".
    out : path, optional
        The feature file; ``WS/features/RUN-DATA[-LAYER].h5`` by default.
    overwrite : bool
        Whether an existing file may be replaced.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        The feature file.

    Raises
    ------
    UserError
        When run or data are missing, or do not fit each other, or there is no such layer.
    """
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    maps = find_run_data(data, trained.plan)
    trained = trained.at_layer(layer) if layer != DEFAULT else trained
    stem = maps.path.stem if trained.layer == DEFAULT else f"{maps.path.stem}-{trained.layer}"
    target = Path(out) if out else place.features(trained.folder.name, stem)
    refuse_existing(target, overwrite)  # before the work, and once more when the file is put in place
    write_features(target, extract_features(trained, maps), overwrite=overwrite)
    return target
