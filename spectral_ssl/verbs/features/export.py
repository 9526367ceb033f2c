"""``export``: write the features of a map file as HDF5, NPZ or Parquet, or the encoder itself."""

from pathlib import Path

from downstream.features.export import export_features, extract_features
from downstream.features.formats import ENDINGS, choose_format, import_pyarrow, write_features_as
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from pretext.runs.whitening import can_whiten, sample_universe_maps
from pretext.training.distributed import join_processes
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import refuse_existing
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import choose_run
from spectral_ssl.planning.inputs.open_data import open_data
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.run_options import ExportOptions
from spectral_ssl.verbs.features.export_encoder import ENDINGS as ENCODER_ENDINGS
from spectral_ssl.verbs.features.export_encoder import EncoderFormat, export_encoder


@takes_options(ExportOptions)
def export(options: ExportOptions) -> Path:
    """Write the features of every map of a file, or the encoder that makes them; several processes share the work.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When run or data are missing, or do not fit each other; when there is no such layer or
        format, or a library for it is not installed; when there are fewer components than asked
        for.

    Examples
    --------
    >>> import spectral_ssl
    >>> path = spectral_ssl.export(run, out=folder / "features.h5")
    >>> spectral_ssl.read_features(path).values.shape
    (64, 128)
    """
    kind = choose_format(options.out, options.format, {**ENDINGS, **ENCODER_ENDINGS}, "hdf5")
    if options.components and kind in ("encoder", "onnx", "torch-export"):
        got = f"--format {kind}"
        raise UserError("principal components are of features", got, "leave --components out")
    if options.whiten and kind != "encoder":
        do = "leave --whiten out, or write the encoder first: --format encoder"
        raise UserError("--whiten is an option of the encoder's folder", f"--format {kind}", do)
    if kind == "encoder":
        return _save_encoder(options)
    if kind == "onnx" or kind == "torch-export":  # two comparisons, for the type checker
        return _export_encoder(options, kind)
    if kind == "parquet":
        import_pyarrow()
    workspace, layer, components = Workspace.find(options.workspace), options.layer, options.components
    run = choose_run(options.run, options.encoder, workspace)
    maps = open_data(options.data, run, workspace)
    run = run.at_layer(layer) if layer != DEFAULT else run
    stem = maps.path.stem if run.layer == DEFAULT else f"{maps.path.stem}-{run.layer}"
    stem += f"-pca{components}" if components else ""
    default = workspace.features(run.folder.resolve().name, stem)
    ending = ENDINGS[kind]
    out = Path(options.out) if options.out else default.with_name(f"{default.name.removesuffix('.h5')}{ending}")
    refuse_existing(out, options.overwrite)  # fails before the work; checked again when the file is renamed
    with join_processes() as processes, busy(f"features of {len(maps)} objects"):
        if kind == "hdf5":
            export_features(out, run, maps, components=components, overwrite=options.overwrite, processes=processes)
        else:
            features = extract_features(run, maps, processes, components=components)
            if processes.is_main:
                write_features_as(out, features, kind, overwrite=options.overwrite)
        processes.run_on_main(lambda: None)  # wait until the file is written
    return out


def _export_encoder(options: ExportOptions, encoder: EncoderFormat) -> Path:
    """Write the encoder itself in a format of other programs."""
    with join_processes() as processes:
        return processes.run_on_main(
            lambda: export_encoder(
                options.run,
                encoder=options.encoder,
                format=encoder,
                data=options.data,
                layer=options.layer,
                out=options.out,
                overwrite=options.overwrite,
                workspace=options.workspace,
            )
        )


def _save_encoder(options: ExportOptions) -> Path:
    """Write the encoder itself as a folder that ``spectral_ssl.load`` reads."""
    workspace = Workspace.find(options.workspace)
    run = choose_run(options.run, options.encoder, workspace)
    run = run.at_layer(options.layer) if options.layer != DEFAULT else run
    if options.whiten:
        _require_whitenable(run)
    name = run.folder.resolve().name + ("" if run.layer == DEFAULT else f"-{run.layer}").replace("+", "-")
    out = Path(options.out) if options.out else workspace.root / "encoders" / name
    if not options.overwrite:  # the files of an encoder in a folder can be replaced, others are kept
        refuse_existing(out, overwrite=False)  # fails before the features are whitened
    with join_processes() as processes:
        return processes.run_on_main(lambda: _whiten(run, options.whiten).save(out, overwrite=options.overwrite))


def _require_whitenable(run: TrainedRun) -> None:
    """Raise a UserError unless the features of a run can be whitened on shapes of the universe."""
    do = "leave --whiten out"
    if run.layer != DEFAULT:
        raise UserError("features of the default layer can be whitened", f"layer {run.layer}", do)
    if not can_whiten(run.basis):
        raise UserError("features are whitened on clouds of the universe", f"maps of kind {run.basis.kind!r}", do)


def _whiten(run: TrainedRun, components: int) -> TrainedRun:
    """Whiten the features of a run on shapes of the universe; 0 components leave them as they are."""
    if not components:
        return run
    with busy(f"{components} whitened components"):
        whitened = run.whiten(sample_universe_maps(run.basis), components)
    found = 0 if whitened.whitening is None else whitened.whitening.matrix.shape[1]
    if found < components:
        say(f"{found} whitened components in place of {components}: the features have no more")
    return whitened
