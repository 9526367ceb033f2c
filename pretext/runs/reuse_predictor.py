"""Taking over the predictor of an earlier run, in place of training the same one again (``method.predictor``).

A predictor belongs to its data, task and network: those of the two runs must be the same. With ``predictor = "auto"``
the newest run of the workspace is taken that trained it with the same settings altogether; where there is none it is
trained.
"""

import tomllib
from pathlib import Path
from typing import Any

from pretext.method import Method
from pretext.methods.mr_gan.model import MRGAN, MRGANConfig
from pretext.methods.mr_gan.predictor import Predictor
from pretext.runs.trained_run import Plan, TrainedRun, load_run
from spectral_ssl.ground.errors import UserError

AUTO = "auto"
# settings of the method that say what network the predictor is, and how it is trained
NETWORK = ("base", "width", "code", "skips")
TRAINING = ("predictor_steps", "slack", "learning_rate", "beta1", "weight_decay", "clip")


def take_known_predictor(method: Method, plan: Plan, runs: Path) -> Path | None:
    """Give a method the predictor that its settings name, if they name one.

    Parameters
    ----------
    method : Method
        Untrained; changed in place.
    plan : Plan
        What it shall do.
    runs : Path
        The workspace's runs, searched with ``auto``.

    Returns
    -------
    Path or None
        The run it was taken from.

    Raises
    ------
    UserError
        When the run named is of another data set, task, variant or network, or its predictor is not trained.
    """
    config = plan.method_config
    if not isinstance(method, MRGAN) or not isinstance(config, MRGANConfig) or not config.predictor:
        return None
    if method.predictor is None:
        what_to_do = "take a proxy variant, or leave method.predictor out"
        raise UserError("the variant has no predictor", f"{config.variant} with {config.predictor}", what_to_do)
    if config.predictor == AUTO:
        run = _find(method, plan, runs)
        if run is None:
            return None
    else:
        run = load_run(config.predictor)
        _check(method, plan, run)
    method.predictor.take(_predictor_of(run))
    return run.folder


def _predictor_of(run: TrainedRun) -> Predictor:
    """A run's trained predictor. Raises a UserError when it has none."""
    predictor = run.method.predictor if isinstance(run.method, MRGAN) else None
    if predictor is None:
        what_to_do = "give a run of mr-gan with a proxy variant"
        raise UserError("a run without a predictor", f"{run.folder}, method {run.plan.method}", what_to_do)
    if not bool(predictor.finished):
        steps = f"{int(predictor.steps_done)} of {predictor.steps} steps in {run.folder}"
        raise UserError("the predictor is not trained yet", steps, "go on with `spectral-ssl pretrain --resume`")
    return predictor


def _check(method: MRGAN, plan: Plan, run: TrainedRun) -> None:
    """Raise a UserError when a run's predictor is not one of this data, task, family and network."""
    assert method.predictor is not None
    other, its = run.plan, _predictor_of(run)
    if other.data_digest != plan.data_digest:
        found = f"{other.data}, not {plan.data}"
        raise UserError("a predictor of another data set", found, "leave method.predictor out, or train on that file")
    if (other.task, other.task_config) != (plan.task, plan.task_config):
        found = f"{other.task} with {other.task_config}"
        raise UserError("a predictor of another task", found, "leave method.predictor out, or set the task as it was")
    if its.family != method.predictor.family:
        found = f"{its.family}, not {method.predictor.family}"
        raise UserError("a predictor of other moments", found, "leave method.predictor out, or take its variant")
    mine, theirs = _network(method, plan), _network(run.method, other)
    if mine != theirs:
        found = ", ".join(f"{name} = {theirs[name]}, not {mine[name]}" for name in mine if mine[name] != theirs[name])
        raise UserError("a predictor of another network", found, "leave method.predictor out, or set the same")


def _network(method: Any, plan: Plan) -> dict[str, Any]:
    """What decides about the predictor's network; the base by the name it was found to be."""
    return {name: getattr(plan.method_config, name) for name in NETWORK} | {"base": method.base}


def _training(plan: Plan) -> list[Any]:
    """What decides about the predictor's training, its data and task aside."""
    settings = [getattr(plan.method_config, name) for name in TRAINING]
    return [plan.train.seed, plan.train.batch_size, *settings]


def _find(method: MRGAN, plan: Plan, runs: Path) -> TrainedRun | None:
    """The newest run whose predictor was trained just as this one would be."""
    for path in sorted(runs.glob("*/checkpoints/last.pt"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        folder = path.parent.parent
        try:
            if tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))["run"]["method"] != plan.method:
                continue
            run = load_run(folder)
            _check(method, plan, run)
        except (OSError, KeyError, ValueError, UserError):
            continue  # an unreadable run, or one of something else
        its_own = run.plan.method_config.predictor in ("", AUTO)
        if its_own and _training(run.plan) == _training(plan):
            return run
    return None
