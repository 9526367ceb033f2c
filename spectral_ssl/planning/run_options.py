"""The options of the verbs that work on a trained run or an encoder: complete, evaluate, probe, export and embed."""

# ruff: noqa: RUF009 - `option` makes a field with a default, as `dataclasses.field` does

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from spectral_ssl.ground.config import within
from spectral_ssl.planning.options import (
    check_options,
    data_option,
    encoder_option,
    option,
    run_option,
    task_settings_option,
    workspace_option,
)

if TYPE_CHECKING:  # the command line prints its help without loading torch
    from data_prep.maps.reader import MapFile
    from pretext.runs.trained_run import TrainedRun

Pose = Literal["aligned", "vertical", "so3"]
SplitChoice = Literal["auto", "own", "cross-validation"]
FeatureFormat = Literal["hdf5", "npz", "parquet"]
ExportFormat = Literal["hdf5", "npz", "parquet", "encoder", "onnx", "torch-export"]

MOST_MODES = 1000
MOST_MAPS = 10_000_000


@dataclass(frozen=True)
class CompleteOptions:
    """The options of ``complete``; the texts of the fields describe them."""

    run: "str | Path | TrainedRun | None" = run_option()
    _: KW_ONLY
    data: "str | Path | MapFile | None" = data_option()
    modes: int = option(
        4,
        "Predictions for each map.",
        "The number of predictions for each map, from as many random latents.",
        limits=within(1, MOST_MODES),
    )
    count: int = option(
        64,
        "Maps to complete.",
        "The number of maps, spread over the test split, or over all maps if there is no test split.",
        limits=within(1, MOST_MAPS),
    )
    seed: int = option(0, "Seed of the corruption and the latents.", "The seed of the corruption and the latents.")
    settings: "Sequence[str] | Mapping[str, Any]" = task_settings_option()
    like: str | Path | None = option(
        None,
        "Only this one: an id of the data, an image, or a scan (a mesh or a cloud).",
        "A single sample instead of held-out maps: the id of a sample of the data, or a file. An image is corrupted as "
        "the task does. A mesh or a cloud is the input itself, for runs of ``denoise`` with ``kind=sampling-noise`` "
        "and of ``complete-shape`` with ``recentre``; then each prediction is also written as a surface, ``OUT-1.ply`` "
        "and so on.",
        kind="str or path",
        reads=str,
    )
    up: str | None = option(
        None,
        "Up axis of a scan, e.g. +y [+z].",
        'The up axis of the file, if it is a mesh or a cloud: e.g. "+y"; "+z" by default.',
    )
    path: bool = option(
        False,
        "Draw also how predictions form while the latent moves.",
        "Whether to draw also how predictions form while the latent moves (cGML on images): ``OUT-path.png``.",
    )
    out: str | Path | None = option(
        None,
        "HDF5 file to write [RUN/completions.h5, of a file RUN/completion-of-FILE.h5].",
        "The HDF5 file to write; ``RUN/completions.h5`` by default, of a file ``RUN/completion-of-FILE.h5``. An image "
        "is written next to it.",
        reads=Path,
    )
    overwrite: bool = option(False, "Replace an existing file.", "Whether to replace existing files.")
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``evaluate``; the texts of the fields describe them."""

    run: "str | Path | TrainedRun | None" = run_option()
    _: KW_ONLY
    beside: "Sequence[str | Path | TrainedRun]" = option(
        (),
        "Another run to score on the same inputs; repeatable.",
        "Other runs, scored on the very same inputs. Their tasks must have conditions and targets of the same shapes.",
        kind="sequence of paths or TrainedRuns",
        reads=Path,
        is_repeatable=True,
    )
    data: "str | Path | MapFile | None" = option(
        None,
        "Map file [the run's].",
        "The map file; the one that the run was trained on by default. The test split is used, or all maps if there is "
        "none.",
        kind="path or MapFile",
        reads=Path,
    )
    count: int = option(
        256, "Maps to complete.", "The number of maps, spread over the split.", limits=within(1, MOST_MAPS)
    )
    modes: int = option(
        20, "Predictions for each.", "The number of predictions for each map.", limits=within(1, MOST_MODES)
    )
    seed: int = option(0, "Seed of the corruption and the latents.", "The seed of the corruption and the latents.")
    settings: "Sequence[str] | Mapping[str, Any]" = task_settings_option()
    second: "str | Path | MapFile | None" = option(
        None,
        "Spectral maps of the same objects from other points: the noise floor.",
        "Spectral maps of the same objects from other points (``prep --seed 1``): the noise floor of the error by "
        "degree.",
        kind="path or MapFile",
        reads=Path,
    )
    weights: str | Path | None = option(
        None,
        "Folder with the weights of LPIPS or FID, see docs/metrics.md.",
        "A folder with the weights of LPIPS (alexnet.pth, alex.pth) or of FID (inception.pt), see docs/metrics.md. "
        "They replace ST-LPIPS and EfficientNet-Lite0.",
        reads=Path,
    )
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class ProbeOptions:
    """The options of ``probe``; the texts of the fields describe them."""

    target: "str | Path | MapFile | None" = option(
        None,
        "A data set's name or a map file [the run's data].",
        "The name of a data set (prepared with the run's basis if it is missing), or a map file; the data of the run "
        "by default. The features of other data are made with the run's statistics.",
        kind="str, path or MapFile",
        reads=str,
    )
    _: KW_ONLY
    run: "str | Path | TrainedRun | None" = run_option()
    encoder: "str | Path | TrainedRun | None" = encoder_option()
    split: SplitChoice = option(
        "auto",
        "own: the data's test split; cross-validation: all labelled samples [own from 500 labelled samples on].",
        'What is scored. "own": the test split of the data. "cross-validation": all labelled samples, by repeated '
        'stratified 5-fold cross-validation. "auto": the own split if there is one and at least 500 samples are '
        "labelled, otherwise cross-validation.",
        reads=str,
        names=get_args(SplitChoice),
    )
    seeds: int | None = option(
        None,
        "Number of seeds, or of repeats of the cross-validation [3; repeats: 1 to 5, more for few samples].",
        "The number of seeds (3 by default), in cross-validation the number of repeats (1 to 5 by default, more for "
        "few samples); the protocol takes 0 .. seeds - 1.",
        limits=within(1, 100),
    )
    probes: Sequence[str] = option(
        ("linear", "neighbours"),
        "Of linear, svm, layer, neighbours, few-shot, retrieval, fine-tune; by commas.",
        "Names among linear, svm, layer, neighbours, few-shot, retrieval and fine-tune, see docs/probing.md.",
        kind="sequence of str",
        reads=str,
        has_commas=True,
    )
    layer: str = option(
        "default",
        "Layer of the network: a name of `list layers`, several joined by +, auto, or all.",
        'The layer of the network: a name of ``list layers``, several joined by "+", "auto" (the best one by '
        'cross-validation inside the training split) or "all" (a row for each layer).',
    )
    pose: Pose = option(
        "aligned",
        "Random rotation of all objects: aligned (none), vertical, so3 (any rotation).",
        "Whether the objects of both splits keep their pose, or each one is rotated at random about the vertical or by "
        "any rotation.",
        reads=str,
        names=get_args(Pose),
    )
    references: bool = option(
        False,
        "Images: add features learnt with ImageNet's labels, an upper reference.",
        "Whether to add features that others learnt with labels (images only): an upper reference.",
    )
    centroids: int | None = option(
        None,
        "Images: centroids of the baseline k-means patches [400, or as many as the network has patch filters].",
        "The number of centroids of the baseline k-means patches (images only). The default is 400, or the number of "
        "the network's patch filters if it is larger.",
        limits=within(1, 100_000),
    )
    has_untrained: bool = option(
        True,
        "Add a row of the same network untrained; for an encoder with whitened features it takes the longest.",
        "Whether to add the row of the same network untrained. If the features are whitened, as those of the encoders "
        "that ship, this row makes and encodes 4096 shapes of the universe for each seed, to whiten its features too.",
        flag="--untrained/--no-untrained",
    )
    report: bool = option(
        True, "Leave a short report.html in the run.", "Whether to write the run's short ``report.html`` anew."
    )
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class ExportOptions:
    """The options of ``export``; the texts of the fields describe them."""

    run: "str | Path | TrainedRun | None" = run_option()
    _: KW_ONLY
    encoder: "str | Path | TrainedRun | None" = encoder_option()
    data: "str | Path | MapFile | None" = option(
        None,
        "Map file, or a folder of your files [the run's data].",
        "The map file, or a folder or a data set, which is prepared with the run's basis; the file that the run was "
        "trained on by default. Maps are standardised with the run's statistics. An exported encoder is checked on "
        "them.",
        kind="path or MapFile",
        reads=Path,
    )
    layer: str = option(
        "default",
        "Layer of the network: a name of `list layers`, or several joined by +.",
        'The layer of the network: a name of ``list layers``, or several joined by "+".',
    )
    components: int = option(
        0,
        "Number of principal components of the features [0: the features themselves].",
        "The number of principal components of the features, fitted on the training split; 0 for the features "
        "themselves.",
        limits=within(0, 1_000_000),
    )
    whiten: int = option(
        0,
        "--format encoder, of shapes: number of whitened components of its features, fitted to the universe [0: its "
        "features as they are].",
        "The number of whitened components that an exported encoder of shapes computes (``TrainedRun.whiten``), fitted "
        "to shapes of the universe; 0 for its features as they are. The encoders that ship have 512.",
        limits=within(0, 1_000_000),
    )
    format: ExportFormat | None = option(
        None,
        "Of features hdf5, npz or parquet; of the encoder itself encoder (a folder), onnx or torch-export [by the "
        "ending of --out, else hdf5].",
        "The format of the features (``downstream.features.formats``), or of the encoder: a folder that ``load`` reads "
        '("encoder"), or a file of other programs (``export_encoder``). By default that of the ending of ``out`` '
        "(.h5, .npz, .parquet, .onnx, .pt2), else hdf5.",
        reads=str,
        names=get_args(ExportFormat),
    )
    out: str | Path | None = option(
        None,
        "File to write [WS/features/RUN-DATA[-LAYER][-pcaK].h5, WS/encoders/RUN.onnx].",
        "The file to write; ``WS/features/RUN-DATA[-LAYER][-pcaK].h5`` by default, with the ending of the format, and "
        "encoders in ``WS/encoders``.",
        reads=Path,
    )
    overwrite: bool = option(False, "Replace an existing file.", "Whether to replace an existing file.")
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class EmbedOptions:
    """The options of ``embed``; the texts of the fields describe them."""

    paths: "str | Path | Sequence[str | Path]" = option(
        (),
        "Files (meshes, clouds or images), folders of them, map files, or names of `list datasets`.",
        "One path, or several: files with a mesh, a cloud or an image; folders of them, in any layout that ``prep`` "
        "reads, whose classes and splits are kept; map files; names of data sets.",
        kind="path or sequence of paths",
        reads=Path,
        is_argument=True,
    )
    _: KW_ONLY
    encoder: "str | Path | TrainedRun | None" = encoder_option("universe-upright")
    run: "str | Path | TrainedRun | None" = option(
        None,
        "Run folder, or its name in the workspace, instead of an encoder.",
        "A run instead of an encoder: its folder, its name in the workspace, or the loaded run.",
        kind="path or TrainedRun",
        reads=Path,
        completes="runs",
    )
    layer: str = option(
        "default",
        "Layer of the network: a name of `list layers`, or several joined by +.",
        'The layer of the network: a name of ``list layers``, or several joined by "+".',
    )
    format: FeatureFormat | None = option(
        None,
        "hdf5, npz or parquet [by the ending of --out, else hdf5].",
        "The format of the file; by default that of the ending of ``out`` (.h5, .npz, .parquet), else hdf5.",
        reads=str,
        names=get_args(FeatureFormat),
    )
    out: str | Path | None = option(
        None,
        "File to write [WS/features/NAME.h5, NAME of the path; of several files FOLDER-N-files].",
        "The file to write; ``WS/features/NAME.h5`` by default, with the ending of the format. NAME is that of the "
        "only path, ``FOLDER-N-files`` for N files of a folder, or ``FIRST-and-N-more``.",
        reads=Path,
    )
    up: str | None = option(
        None,
        "Up axis of the files, e.g. +y, or by-format [+z].",
        'The up axis of the files, e.g. "+y", or "by-format" for the axis that the format of each file specifies; "+z" '
        "by default.",
    )
    workers: int | None = option(
        None,
        "Processes, 0 for none [all cores].",
        "The number of worker processes; all cores by default (none for few files), 0 for none. The features do not "
        "depend on it.",
        limits=within(0, 1024),
    )
    overwrite: bool = option(False, "Replace an existing file.", "Whether to replace an existing file.")
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)
