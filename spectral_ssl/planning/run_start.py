"""Prepare the start of a training: a new run, or a run that is resumed."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from data_prep.maps.reader import MapFile, open_maps
from pretext.data.training_split import TrainingData
from pretext.method import Method
from pretext.runs.folder import (
    FOLDER_EXISTS,
    PREPARED_AGAIN,
    describe_run,
    find_interrupted_run,
    make_run_folder,
    read_plan,
    refuse_existing_run,
)
from pretext.runs.plan import Plan
from pretext.runs.reuse_predictor import reuse_predictor
from pretext.runs.source_weights import copy_weights, load_source
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.training.checkpoint import replace_damaged
from pretext.training.checks import check_accumulation
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.run_folder import drop_metrics_after, lock_run
from spectral_ssl.ground.terminal import count_restarts
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.code_features import take_extractor
from spectral_ssl.planning.defaults import list_advice
from spectral_ssl.planning.find_data import find_maps
from spectral_ssl.planning.new_run.universe import describe_data, open_training_data
from spectral_ssl.planning.options import settings_of
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import name_precision_source, plan_run


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """Everything that a training starts from.

    Attributes
    ----------
    folder : Path
        The run folder; it exists.
    plan : Plan
        The plan of the run.
    maps : MapFile
        The map file.
    training : TrainingData
        The training split of the map file, or the stream of new shapes.
    network : Method
        The network, new or as in the last checkpoint.
    progress : dict or None
        The progress at the last checkpoint; None at the beginning.
    precision_source : str
        Who chose the precision of the layers.
    """

    folder: Path
    plan: Plan
    maps: MapFile
    training: TrainingData
    network: Method
    progress: dict[str, Any] | None
    precision_source: str = "as the run was started"


def prepare_run(options: PretrainOptions, workspace: Workspace, locks: ExitStack) -> RunStart:
    """Prepare the run that the options of ``pretrain`` describe; the main process calls this.

    Parameters
    ----------
    options : PretrainOptions
        The options of the call.
    workspace : Workspace
        The workspace.
    locks : ExitStack
        Holds the lock of the run folder until the training has ended.

    Returns
    -------
    RunStart
        A new run in a new folder, or the run to resume.

    Raises
    ------
    UserError
        When data or settings are invalid.
    """
    if options.resume is not None:
        short = {key: value for key, (_, value) in settings_of(options, "train").items()}
        return _resume_run(workspace.find_run(options.resume), options.data, short, workspace, locks)
    out = Path(options.out) if options.out else None
    if out is not None and not count_restarts():
        refuse_existing_run(out, workspace.root / "runs")
    plan, maps = plan_run(options, workspace)
    if count_restarts():
        # a launcher has restarted the processes: their run may exist already
        folders = [out] if out else sorted((workspace.root / "runs").glob("*"), reverse=True)
        interrupted = find_interrupted_run(plan, folders)
        if interrupted is not None:
            return _resume_run(interrupted, maps, {}, workspace, locks)
    with busy("building the network"):
        source = load_source(plan)
        training = open_training_data(plan, maps, source.standardise if source is not None else None)
        network, predictor_run = build_new_network(plan, training, workspace, source)
    check_accumulation(network, plan.train.accumulate)  # fails before the folder is made
    folder = _make_folder(out, plan, workspace, locks)
    if predictor_run is not None:
        say(f"taking the predictor of {predictor_run}")
    for line in list_advice(plan, maps):
        say(line)
    say(f"training {plan.method} on {plan.task}: {describe_data(training, maps)}, in {folder}")
    return RunStart(
        folder=folder,
        plan=plan,
        maps=maps,
        training=training,
        network=network,
        progress=None,
        precision_source=name_precision_source(options),
    )


def join_run(folder: str, plan_text: str, progress: dict[str, Any] | None) -> RunStart:
    """Prepare in this process the run that the main process has prepared.

    The parameters of the network are sent when the training begins.

    Parameters
    ----------
    folder : str
        The run folder.
    plan_text : str
        The plan as TOML.
    progress : dict or None
        The progress at the last checkpoint.

    Returns
    -------
    RunStart
        The same start as in the main process.
    """
    plan = Plan.from_toml(plan_text)
    maps = open_maps(plan.data)
    # The main process sends its parameters, but not its statistics.
    run = load_source(plan) if progress is None else load_run(folder)
    training = open_training_data(plan, maps, run.standardise if run is not None else None)
    network = build_network(plan, training) if progress is None or run is None else run.method
    take_extractor(network, plan)
    return RunStart(folder=Path(folder), plan=plan, maps=maps, training=training, network=network, progress=progress)


def build_new_network(
    plan: Plan, training: TrainingData, workspace: Workspace, source: TrainedRun | None
) -> tuple[Method, Path | None]:
    """Build the network of a new run with everything that it takes from elsewhere before its first step.

    Parameters
    ----------
    plan : Plan
        The plan of the run.
    training : TrainingData
        The training split, or the stream of new shapes.
    workspace : Workspace
        The workspace, whose runs may hold a predictor that fits.
    source : TrainedRun or None
        The run or the encoder whose weights the network starts with.

    Returns
    -------
    Method
        The network.
    Path or None
        The run from which a predictor was taken.
    """
    network = build_network(plan, training)
    take_extractor(network, plan)
    if source is not None:
        copy_weights(network, plan, source)
        return network, None
    if training.codes is not None:
        network.learn_code_statistics(training.codes)
    return network, reuse_predictor(network, plan, workspace.root / "runs")


def build_network(plan: Plan, training: TrainingData) -> Method:
    """Build an untrained network; raise a UserError if the memory is too small for it."""
    try:
        return plan.build(training.standardise)
    except (RuntimeError, MemoryError) as error:
        if "alloc" not in str(error) and not isinstance(error, MemoryError):
            raise
        got = str(error)[:100]
        raise UserError("not enough memory for the network", got, "lower method.width or method.code") from error


def _make_folder(out: Path | None, plan: Plan, workspace: Workspace, locks: ExitStack) -> Path:
    """Make and lock the run folder. A folder without a given name gets one that no other process has just taken."""
    if out:
        make_run_folder(out, plan, locks)
        return out
    while True:
        folder = workspace.new_run(plan.method, plan.task)
        try:
            make_run_folder(folder, plan, locks)
        except UserError as error:
            if error.what != FOLDER_EXISTS:
                raise
            continue
        return folder


def _resume_run(
    folder: Path, data: str | Path | MapFile | None, short: dict[str, Any], workspace: Workspace, locks: ExitStack
) -> RunStart:
    """Prepare a run at its last sound checkpoint, or at the beginning if it was killed before the first one.

    ``short`` holds the settings of the training that the options change.
    """
    run = _load_interrupted(folder, locks)
    before = run.plan if run is not None else read_plan(folder)
    maps = find_maps(before.data if data is None else data, workspace)
    if maps.digest != before.data_digest:
        if maps.path.resolve() == Path(before.data).resolve():
            do = "train anew: a run resumes only with the maps that it began with"
            raise UserError(PREPARED_AGAIN, f"{maps.path}, whose old maps are gone", do)
        got = f"{maps.path}, digest {maps.digest[:12]}"
        raise UserError("other data than the run's", got, f"give the file of the run: {before.data}")
    train = build_config(TrainConfig, asdict(before.train) | short, "train")
    plan = replace(before, train=train, data=str(maps.path.resolve()))
    source = load_source(plan) if run is None else run
    training = open_training_data(plan, maps, source.standardise if source is not None else None)
    metrics, progress = folder / "metrics.jsonl", None
    if run is None:
        drop_metrics_after(metrics, -1)
        network, _ = build_new_network(plan, training, workspace, source)
        say(f"resuming {folder} from the start: it has no checkpoint yet")
    else:
        if run.checkpoint_path.name != "last.pt":
            replace_damaged(folder / "checkpoints")
        network, progress = run.method, run.checkpoint["place"]
        take_extractor(network, plan)
        # samples that no row of the metrics counts yet will be in a row of the same step as the
        # checkpoint
        drop_metrics_after(metrics, progress["step"] - (progress["samples"] > 0))
        if run.checkpoint.get("has_new_discriminator"):
            say(f"{folder}: its discriminator is of an earlier version, so the training goes on with a new one")
        say(f"resuming {folder} at epoch {progress['epoch']}, step {progress['step']}")
    describe_run(folder, plan)
    return RunStart(folder=folder, plan=plan, maps=maps, training=training, network=network, progress=progress)


def _load_interrupted(folder: Path, locks: ExitStack) -> TrainedRun | None:
    """Lock a run folder, remove half-written files, and load the last sound checkpoint if there is any."""
    if not (folder / "config.toml").is_file():
        load_run(folder)  # raises the error that tells what is missing
    locks.enter_context(lock_run(folder))
    checkpoints = folder / "checkpoints"
    for rest in (*folder.glob(".*.part"), *checkpoints.glob(".*.part")):
        rest.unlink()  # was being written when the run was killed
    if (checkpoints / "last.pt").exists() or (checkpoints / "previous.pt").exists():
        return load_run(folder)
    return None
