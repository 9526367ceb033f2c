"""``export``: features of a map file, as HDF5, NPZ or Parquet; or the encoder itself."""

from pathlib import Path

from data_prep.maps.reader import MapFile
from downstream.features.export import export_features, extract_features
from downstream.features.formats import ENDINGS, FeatureFormat, import_pyarrow, write_features_as
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun, find_run_data, load_run
from pretext.training.distributed import join_processes
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.features.export_encoder import ENDINGS as ENCODER_ENDINGS
from spectral_ssl.verbs.features.export_encoder import EncoderFormat, export_encoder


def export(
    run: str | Path | TrainedRun | None = None,
    *,
    data: str | Path | MapFile | None = None,
    layer: str = DEFAULT,
    components: int = 0,
    format: FeatureFormat | EncoderFormat = "hdf5",  # noqa: A002 - as the command line calls it
    out: str | Path | None = None,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> Path:
    """Write the features of every map of a file, or the encoder that makes them; several processes share the work.

    Parameters
    ----------
    run : path or TrainedRun, optional
        The latest run by default.
    data : path or MapFile, optional
        The map file; the one the run was trained on by default. Of another one the run's own statistics are used.
    layer : str
        What of the network the features are: a name of ``list layers``, or several joined by "+".
    components : int
        So many principal components of the features, fitted on the training split; 0 for the features themselves.
    format : {"hdf5", "npz", "parquet", "onnx", "torch-export"}
        Of the features (``downstream.features.formats``); or of the encoder (``export_encoder``), then ``data`` serves
        to check what was written.
    out : path, optional
        The file; ``WS/features/RUN-DATA[-LAYER][-pcaK].h5`` by default, with the ending of the format, encoders in
        ``WS/encoders``.
    overwrite : bool
        Whether an existing file may be replaced.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When run or data are missing, or do not fit each other, or there is no such layer or format, or a library for
        it is not installed, or more components are asked for than there are.
    """
    check_range("components", components, 0, 1_000_000)
    if format in ENCODER_ENDINGS:
        if components:
            raise UserError("principal components are of features", f"--format {format}", "leave --components out")
        encoder: EncoderFormat = format
        with join_processes() as processes:
            return processes.run_on_main(
                lambda: export_encoder(
                    run, format=encoder, data=data, layer=layer, out=out, overwrite=overwrite, workspace=workspace
                )
            )
    if format not in ENDINGS:
        raise unknown_name("format", format, (*ENDINGS, *ENCODER_ENDINGS))
    if format == "parquet":
        import_pyarrow()
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    maps = find_run_data(data, trained.plan)
    trained = trained.at_layer(layer) if layer != DEFAULT else trained
    stem = maps.path.stem if trained.layer == DEFAULT else f"{maps.path.stem}-{trained.layer}"
    stem += f"-pca{components}" if components else ""
    usual = place.features(trained.folder.resolve().name, stem)
    target = Path(out) if out else usual.with_name(f"{usual.name.removesuffix('.h5')}{ENDINGS[format]}")
    refuse_existing(target, overwrite)  # before the work, and once more when the file is put in place
    with join_processes() as processes:
        if format == "hdf5":
            export_features(target, trained, maps, components=components, overwrite=overwrite, processes=processes)
        else:
            features = extract_features(trained, maps, processes, components=components)
            if processes.is_main:
                write_features_as(target, features, format, overwrite=overwrite)
        processes.run_on_main(lambda: None)  # it is written when any of them goes on
    return target
