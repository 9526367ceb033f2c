"""Reuse the predictor of an earlier run instead of training the same one again (``method.predictor``).

A predictor belongs to its data, task and network. These must be the same in both runs. With
``predictor = "auto"`` the newest run of the workspace is used that trained its predictor with
exactly the same settings. If there is none, the predictor is trained.
"""

from operator import attrgetter
from pathlib import Path
from typing import Any

from pretext.method import Method, ReusablePredictor
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.config import bare_key, read_toml
from spectral_ssl.ground.errors import UserError

AUTO = "auto"
# settings of the method that determine the predictor's network, and its training
NETWORK = ("networks.base", "networks.width", "networks.code", "networks.skips")
TRAINING = (
    "proxy.predictor_steps",
    "losses.slack",
    "optimisation.learning_rate",
    "optimisation.beta1",
    "optimisation.weight_decay",
    "optimisation.clip",
)


def reuse_predictor(method: Method, plan: Plan, runs: Path) -> Path | None:
    """Copy into a method the predictor that its settings name, if they name one.

    Parameters
    ----------
    method : Method
        The untrained method, changed in place.
    plan : Plan
        The plan of the run.
    runs : Path
        The workspace's runs, searched with ``auto``.

    Returns
    -------
    Path or None
        The run whose predictor was copied.

    Raises
    ------
    UserError
        If the named run has another data set, task, variant or network, or its predictor is not
        trained.
    """
    config, predictor = plan.method_config, method.reusable_predictor
    named = _named_predictor(plan)
    if not named:
        return None
    if predictor is None:
        what_to_do = "choose a proxy variant, or leave method.predictor out"
        raise UserError("the variant has no predictor", f"{config.variant} with {named}", what_to_do)
    if named == AUTO:
        run = _find_run(method, plan, runs)
        if run is None:
            return None
    else:
        run = load_run(named)
        _check_same(method, plan, run)
    predictor.copy_from(_trained_predictor(run))
    return run.folder


def _named_predictor(plan: Plan) -> str:
    """Return the run, or "auto", whose predictor the settings name; an empty text if they name none."""
    named: str = getattr(getattr(plan.method_config, "proxy", None), "predictor", "")
    return named


def _trained_predictor(run: TrainedRun) -> ReusablePredictor:
    """Return a run's trained predictor, or raise a UserError if it has none."""
    predictor = run.method.reusable_predictor
    if predictor is None:
        what_to_do = "give a run of mr-gan with a proxy variant"
        raise UserError("a run without a predictor", f"{run.folder}, method {run.plan.method}", what_to_do)
    if not bool(predictor.finished):
        steps = f"{int(predictor.steps_done)} of {predictor.steps} steps in {run.folder}"
        raise UserError("the predictor is not trained yet", steps, "finish it with `spectral-ssl pretrain --resume`")
    return predictor


def _check_same(method: Method, plan: Plan, run: TrainedRun) -> None:
    """Raise a UserError unless a run's predictor has this data, task, family of moments and network."""
    predictor, other, other_predictor = method.reusable_predictor, run.plan, _trained_predictor(run)
    assert predictor is not None
    if other.data_digest != plan.data_digest:
        got = f"{other.data}, not {plan.data}"
        raise UserError("a predictor of another data set", got, "leave method.predictor out, or train on that file")
    if (other.task, other.task_config) != (plan.task, plan.task_config):
        got = f"{other.task} with {other.task_config}"
        raise UserError("a predictor of another task", got, "leave method.predictor out, or set the task of that run")
    if other_predictor.family != predictor.family:
        got = f"{other_predictor.family}, not {predictor.family}"
        raise UserError("a predictor of other moments", got, "leave method.predictor out, or choose its variant")
    wanted, actual = _network_settings(method, plan), _network_settings(run.method, other)
    if wanted != actual:
        differences = [
            f"{name} = {actual[name]}, not {wanted[name]}" for name in wanted if wanted[name] != actual[name]
        ]
        what_to_do = "leave method.predictor out, or set the same"
        raise UserError("a predictor of another network", ", ".join(differences), what_to_do)


def _network_settings(method: Any, plan: Plan) -> dict[str, Any]:
    """Return what determines the predictor's network; the base as the method has chosen it."""
    return {bare_key(key): attrgetter(key)(plan.method_config) for key in NETWORK} | {"base": method.base}


def _training_settings(plan: Plan) -> list[Any]:
    """Return what determines the predictor's training, except data and task."""
    settings = [attrgetter(key)(plan.method_config) for key in TRAINING]
    train = plan.train
    return [train.seed, train.batch_size, train.precision, train.data, *settings]


def _find_run(method: Method, plan: Plan, runs: Path) -> TrainedRun | None:
    """Find the newest run whose predictor was trained exactly as this one would be."""
    for path in sorted(runs.glob("*/checkpoints/last.pt"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        folder = path.parent.parent
        try:
            if read_toml(folder / "config.toml")["run"]["method"] != plan.method:
                continue
            run = load_run(folder)
            _check_same(method, plan, run)
        except (OSError, KeyError, ValueError, RecursionError, UserError):
            continue  # an unreadable run, or a predictor that does not fit
        was_trained_there = _named_predictor(run.plan) in ("", AUTO)
        if was_trained_there and _training_settings(run.plan) == _training_settings(plan):
            return run
    return None
