"""Choose the weights that a new run starts from: those of ``--init-from``, or of the encoder that ships, or random.

A few shapes of one's own are too few to learn from. If they have clouds and the basis of the default
encoder, and the user chose nothing that it may contradict, their run starts from that encoder.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.data.training_split import check_same_basis
from pretext.pretrained.facts import FACTS, read_facts
from pretext.pretrained.find import DEFAULT_ENCODER, SHIPPED, find_encoder, require_name
from pretext.pretrained.hub import HUB
from pretext.runs.load_encoder import load_encoder
from pretext.runs.source_weights import load_weights, name_weights
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.catalogue import find_task
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import as_texts, bare_key, flatten, setting_keys
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import expand_home
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.new_run.universe import find_fresh, holds_universe
from spectral_ssl.planning.pretrain_options import PretrainOptions

NONE = "none"
# Files with fewer training maps start from the default encoder.
FEW_MAPS = 1000
# Fine-tuning: steps, the largest number of epochs for small data, and the highest learning rate of the
# joint embedding. Not tuned yet.
STEPS = 1000
MOST_EPOCHS = 60
LEARNING_RATE = 5e-4


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights that a run starts from.

    Attributes
    ----------
    source : TrainedRun
        The run or the encoder that has them.
    name : str
        What loads it again (``pretext.runs.source_weights.load_weights``).
    """

    source: TrainedRun
    name: str


def find_given_weights(options: PretrainOptions, workspace: Workspace) -> Weights | None:
    """Load the weights that the user names; None if there are none, or the name is "none".

    Parameters
    ----------
    options : PretrainOptions
        The options of the call.
    workspace : Workspace
        The workspace, whose runs and encoders may be named.

    Returns
    -------
    Weights or None
        The weights.

    Raises
    ------
    UserError
        If there is no such run or encoder.
    """
    given = options.init_from
    if given is None or (not isinstance(given, TrainedRun) and str(given) == NONE):
        return None
    if isinstance(given, TrainedRun):
        return Weights(source=given, name=name_weights(given))
    source = find_weights(given, workspace)
    return Weights(source=source, name=name_weights(source, given))


def choose_weights(
    given: Weights | None, options: PretrainOptions, maps: MapFile, *, is_default_allowed: bool
) -> Weights | None:
    """Choose the weights that a new run starts from, and say which.

    Parameters
    ----------
    given : Weights or None
        The weights that the user names.
    options : PretrainOptions
        The options of the call.
    maps : MapFile
        The maps to train on.
    is_default_allowed : bool
        Whether the default encoder may be taken if the user names no weights.

    Returns
    -------
    Weights or None
        The weights; None for random ones.

    Raises
    ------
    UserError
        If their basis is not that of the maps.
    """
    if given is not None:
        check_same_basis(given.source.basis, maps)
        say(f"starting from the weights of {given.name}")
        return given
    if options.init_from is not None or not is_default_allowed or not suits_default_encoder(options, maps):
        return None
    say(
        f"{len(maps.rows('train'))} training maps are few: starting from the weights of {DEFAULT_ENCODER}, which ships "
        f"with the package; `--init-from {NONE}` starts from random weights"
    )
    return Weights(source=load_encoder(DEFAULT_ENCODER), name=DEFAULT_ENCODER)


def find_weights(given: str | Path, workspace: Workspace) -> TrainedRun:
    """Load the run or the encoder that a text names; the nearest name is suggested if there is none.

    Parameters
    ----------
    given : str or path
        The name of an encoder that ships or was saved in the workspace, ``hf:OWNER/NAME``, the name of a
        run of the workspace, or the folder of a run or an encoder.
    workspace : Workspace
        The workspace.

    Returns
    -------
    TrainedRun
        The run or the encoder.
    """
    require_name("run or encoder", given)
    name = str(given)
    path = expand_home(given)
    if name in SHIPPED or name.startswith(HUB):
        return load_encoder(name)
    if path.is_dir():
        return load_weights(path)
    runs = {folder.name: folder for folder in workspace.runs()}
    encoders = {path.parent.name: path.parent for path in sorted((workspace.root / "encoders").glob(f"*/{FACTS}"))}
    known = {**encoders, **runs}
    if name in known:
        return load_weights(known[name])
    raise unknown_name("run or encoder", name, [*SHIPPED, NONE, *known])


def suits_default_encoder(options: PretrainOptions, maps: MapFile) -> bool:
    """Tell whether maps are few shapes on which the default encoder can go on, and nothing was chosen against it."""
    chosen = (options.recipe, options.method, options.task, options.variant, options.features)
    if any(value is not None for value in chosen) or not _sets_training_only(options):
        return False
    if find_fresh(options.data, options.settings) or holds_universe(maps):
        return False
    if not (maps.has_points and 1 < len(maps.rows("train")) < FEW_MAPS):
        return False
    try:
        basis = Basis.from_json(read_facts(find_encoder(DEFAULT_ENCODER)).basis)
    except UserError as error:
        say(f"starting from random weights, because the encoder cannot be read: {error}")
        return False
    return not basis.find_conflicts(maps.basis)


def _sets_training_only(options: PretrainOptions) -> bool:
    """Tell whether all texts of ``--set`` are settings of the training."""
    keys = setting_keys(TrainConfig)
    known = {*keys, *map(bare_key, keys)}
    given = (setting.partition("=")[0].strip().removeprefix("train.") for setting in as_texts(options.settings))
    return all(key in known for key in given)


def choose_for_weights(source: TrainedRun, maps: MapFile, chosen: dict[str, Any], fresh: int) -> dict[str, Any]:
    """Choose the sections [run] and [train] of a run that starts from weights.

    Parameters
    ----------
    source : TrainedRun
        The run or the encoder.
    maps : MapFile
        The maps to train on.
    chosen : dict
        The section [train] that suits the maps.
    fresh : int
        Number of new shapes of the universe in each epoch; 0 for the maps.

    Returns
    -------
    dict of str to dict
        The sections.
    """
    names = {"method": source.plan.method, "task": source.plan.task}
    if fresh:
        return {"run": names, "train": chosen}
    count = len(maps.rows("train"))
    batch = min(source.plan.train.batch_size, max(count // 2, 1))
    epochs = min(MOST_EPOCHS, math.ceil(STEPS / math.ceil(max(count, 1) / batch)))
    return {"run": names, "train": {**chosen, "batch_size": batch, "epochs": epochs}}


def inherit_settings(source: TrainedRun, method: str, task: str) -> dict[str, dict[str, Any]]:
    """Return the settings that a run takes over from its source: the lowest layer of the plan's settings.

    Parameters
    ----------
    source : TrainedRun
        The run or the encoder.
    method, task : str
        The method and the task of the new run.

    Returns
    -------
    dict of str to dict
        The sections "method" and "task"; empty for another method or task than the source's.
    """
    inherited: dict[str, dict[str, Any]] = {}
    if method == source.plan.method:
        inherited["method"] = flatten(asdict(source.plan.method_config))
        if method == "joint-embedding":
            inherited["method"] |= {"optimisation.learning_rate": LEARNING_RATE, "optimisation.cosine_steps": 0}
        if "proxy.predictor" in inherited["method"]:
            inherited["method"]["proxy.predictor"] = ""  # the weights hold it already
    # Codes belong to their data.
    if task == source.plan.task and find_task(task).codes is None:
        inherited["task"] = flatten(asdict(source.plan.task_config))
    return inherited
