"""Start a new run with the weights of another run or of an encoder (``pretrain --init-from``).

The new run takes parameters and buffers, and the statistics that standardise maps: the weights were
trained with them. Optimisers, counts of steps, and networks that only training needs and that an
encoder does not hold (a projector) start anew.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretext.method import Method
from pretext.pretrained.find import SHIPPED
from pretext.pretrained.hub import HUB
from pretext.runs.load_encoder import load_encoder
from pretext.runs.origin import is_encoder, name_option
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.config import flatten
from spectral_ssl.ground.errors import UserError

LISTED = 3  # settings that a message names


def load_weights(name: str | Path) -> TrainedRun:
    """Load a run from its folder, or an encoder from its folder, its name or ``hf:OWNER/NAME``."""
    return load_run(name) if (Path(name) / "config.toml").is_file() else load_encoder(name)


def name_weights(source: TrainedRun, given: str | Path | None = None) -> str:
    """Return the text that loads a run or an encoder again from any folder: a name, or an absolute path.

    Parameters
    ----------
    source : TrainedRun
        The run or the encoder.
    given : str or Path, optional
        What the user wrote. A repository of the hub is recorded as it is.

    Returns
    -------
    str
        What ``load_weights`` takes.
    """
    if str(given).startswith(HUB):
        return str(given)
    _, value = name_option(source)
    return value if value in SHIPPED else str(Path(value).resolve())


def load_source(plan: Plan) -> TrainedRun | None:
    """Load the run or the encoder whose weights a plan starts from; None if it starts from random weights.

    Raises
    ------
    UserError
        If it cannot be loaded, or its weights have changed since the plan was made.
    """
    if not plan.init_from:
        return None
    source = load_weights(plan.init_from)
    if source.checkpoint_digest != plan.init_digest:
        got = f"{plan.init_from}, digest {source.checkpoint_digest[:12]} in place of {plan.init_digest[:12]}"
        raise UserError("the weights to start from have changed", got, "start a new run with --init-from")
    return source


def copy_weights(network: Method, plan: Plan, source: TrainedRun) -> None:
    """Copy the weights of a run or an encoder into the untrained network of a plan.

    Parameters
    ----------
    network : Method
        The untrained network, changed in place.
    plan : Plan
        The plan of the network, for the message.
    source : TrainedRun
        The run or the encoder.

    Raises
    ------
    UserError
        If the method is another one, or a network has other sizes.
    """
    if plan.method != source.plan.method:
        got = f"{plan.method}, and {source.plan.method} in {plan.init_from}"
        do = f"give --method {source.plan.method} or leave it out, or start from random weights: --init-from none"
        raise UserError("weights of another method", got, do)
    assert isinstance(network, nn.Module)
    wanted, given = network.state_dict(), _trained_state(source)
    features = set(network.feature_state())
    # Only what an encoder leaves out may be missing.
    missing = (features if is_encoder(source) else set(wanted)) - set(given)
    differing = [name for name in wanted if name in given and wanted[name].shape != given[name].shape]
    if missing or differing or set(given) - set(wanted):
        do = "leave these settings out, or start from random weights: --init-from none"
        raise UserError("weights of a network of other sizes", _describe_difference(plan, source, wanted, given), do)
    progress = {name for name, value in network.named_buffers() if value.dim() == 0}
    with torch.no_grad():
        for name in wanted.keys() & given.keys() - progress:
            wanted[name].copy_(given[name])  # these share their memory with the network


def _trained_state(source: TrainedRun) -> dict[str, Tensor]:
    """Return the trained parameters and buffers: of an encoder those that features need."""
    return source.method.feature_state() if is_encoder(source) else source.method.state_dict()


def _describe_difference(plan: Plan, source: TrainedRun, wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """Name the settings in which two networks differ; without any, the first tensor that differs."""
    ours, theirs = (flatten(asdict(config)) for config in (plan.method_config, source.plan.method_config))
    settings = [
        f"method.{key}={_show(value)} in place of {_show(theirs[key])}"
        for key, value in ours.items()
        if value != theirs[key] and not key.startswith("optimisation.")
    ]
    if settings:
        more = f" and {len(settings) - LISTED} more" if len(settings) > LISTED else ""
        return f"{', '.join(settings[:LISTED])}{more} of {plan.init_from}"
    differs = (name for name in sorted({*wanted, *given}) if _shape(wanted, name) != _shape(given, name))
    name = next(differs)
    return f"{name} of shape {_shape(wanted, name)} in place of {_shape(given, name)} of {plan.init_from}"


def _shape(state: dict[str, Tensor], name: str) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None if it is missing."""
    return tuple(state[name].shape) if name in state else None


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
