"""Find the features that are the conditions of a task such as from-code, and encode new images like them."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import torch

from data_prep.basis import PAIR
from data_prep.maps.reader import MapFile
from data_prep.pipeline.single_file import image_file_to_map
from downstream.features.export import export_features
from downstream.features.store import read_features
from pretext.data.batch import Batch, Example
from pretext.method import Method
from pretext.networks.feature_layers import DEFAULT, describe_pooling
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.tasks.catalogue import TaskEntry
from pretext.tasks.codes.feature_codes import settle_codes
from pretext.tasks.codes.from_code import LABELS, NONE
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace


def find_features(task: TaskEntry, task_config: Any, maps: MapFile, workspace: Workspace) -> Any:
    """Find the features of a task whose conditions are codes; export them if the config names a run.

    Parameters
    ----------
    task : TaskEntry
        The task.
    task_config : object
        The config of the task. Its setting ``features`` is a feature file, the folder of a run,
        "labels" or "none".
    maps : MapFile
        The maps that must have features.
    workspace : Workspace
        The workspace to which the features of a run are exported.

    Returns
    -------
    object
        The config with a feature file; the config itself if the task has no codes.

    Raises
    ------
    UserError
        When the features do not fit the maps.
    """
    if task.codes is None:
        return task_config
    features = task_config.features
    config = replace(task_config, extractor="")
    if features not in (NONE, LABELS) and Path(features).is_dir():
        path = _export(load_run(features).at_layer(config.code_layer), maps, workspace)
        config = replace(config, features=str(path), extractor=str(Path(features).resolve()))
    elif config.code_layer != DEFAULT:
        got = f"code_layer = {config.code_layer}, features = {features}"
        raise UserError("only a run has layers", got, "give --features RUN, or export that layer")
    return settle_codes(config, maps)


def take_extractor(network: Method, plan: Plan) -> None:
    """Give a method the network that computed its codes, if the method asks for it.

    Raises
    ------
    UserError
        When that network is not known, or cannot encode samples while it lets gradients through: the features
        came from a file, the run is gone or has changed, the data are no images, or the run has
        several views of each image.
    """
    if not network.needs_extractor:
        return
    config = plan.task_config
    do = "give --features RUN, or set code_weight=0"
    if not config.extractor:
        raise UserError("no network that computes codes of samples", f"features = {config.features}", do)
    digest = read_features(Path(config.features)).about["checkpoint_digest"]
    back = f"bring back its checkpoint with the digest {digest[:12]}, or train a new run"
    if not Path(config.extractor).is_dir():
        raise UserError("the run that made the features is gone", config.extractor, back)
    run = load_run(config.extractor)
    if digest != run.checkpoint_digest:
        raise UserError("the run that made the features has changed since", config.extractor, back)
    # whitened features would not be those that ``encode`` computes
    is_plain = run.plan.task_entry.inference_views is None and run.whitening is None
    if run.basis.kind != "pixels" or not is_plain:
        got = f"{run.plan.method} on {run.plan.task}, maps of kind {run.basis.kind!r}"
        raise UserError("codes of samples need a run on images with one view of each, not whitened", got, do)
    run = run.at_layer(config.code_layer)
    for parameter in run.method.parameters():
        parameter.requires_grad_(False)

    def encode(images: torch.Tensor) -> torch.Tensor:
        cast("torch.nn.Module", run.method).to(images.device)
        return run.features(run.plan.view(Batch(images, run.standardise)))

    network.extractor = encode


def _export(trained: TrainedRun, maps: MapFile, workspace: Workspace) -> Path:
    """Export the features of a run for a map file, or find the existing file. No file is replaced."""
    of_layer = "" if trained.layer == DEFAULT else f" {trained.layer}"
    default = workspace.features(trained.folder.resolve().name, maps.path.stem)
    digest = sha256(f"{trained.checkpoint_digest} {maps.digest}{of_layer}".encode()).hexdigest()
    for path in (default, default.with_name(f"{default.stem}-{digest[:12]}.h5")):
        if not path.exists():
            break
        about = read_features(path).about
        expected = {
            "checkpoint_digest": trained.checkpoint_digest,
            "data_digest": maps.digest,
            "layer": trained.layer,
            "pooling": describe_pooling(trained.layer),  # differs for principal components
        }
        if all(about[name] == value for name, value in expected.items()):
            return path
    else:
        raise UserError("a file of other features in place of the run's", str(path), "move that file away")
    say(f"features of {trained.folder} for {maps.path}: writing {path}")
    try:
        export_features(path, trained, maps)
    except UserError:
        if not path.exists():
            raise
        return _export(trained, maps, workspace)  # another process has just written the file
    return path


def encode_image_file(run: TrainedRun, path: Path) -> Example:
    """Read an image, scale it to the size of the run's images, and encode it with the run that made the codes.

    Parameters
    ----------
    run : TrainedRun
        A run of the task from-code.
    path : Path
        The image file.

    Returns
    -------
    Example
        An example of one sample.

    Raises
    ------
    UserError
        When the image cannot be read, the run makes no images, or its features came from a file
        whose run is not known.
    """
    config = run.plan.task_config
    if run.plan.task_entry.codes is None:
        raise UserError("a task without codes", f"the task {run.plan.task}", "give a run of the task from-code")
    if run.basis.kind != "pixels" or run.basis.layout == PAIR:
        got = f"maps of kind {run.basis.kind!r}"
        raise UserError("an image file for maps that are no single images", got, "give an id")
    if not config.extractor:
        got = f"features = {config.features}"
        raise UserError("no network that encodes the image", got, "give an id, or train with --features RUN")
    maps = image_file_to_map(path, run.basis)[None]
    extractor = load_run(config.extractor).at_layer(config.code_layer)
    codes = torch.from_numpy(extractor.encode(maps))
    if codes.shape[1] != config.dimensions:
        got = f"{codes.shape[1]} values of {config.extractor}, not {config.dimensions}"
        raise UserError("the run that made the features has changed since", got, "give an id of the data")
    return run.plan.corrupt(Batch(run.standardise(maps), run.standardise, codes=codes), torch.Generator())
