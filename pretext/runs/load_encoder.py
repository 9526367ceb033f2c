"""Load an encoder, one that ships with the package or one that was saved, as a run that computes features."""

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.standardise import Standardiser
from pretext.networks.feature_layers import DEFAULT
from pretext.pretrained.facts import EncoderFacts
from pretext.pretrained.find import DEFAULT_ENCODER, find_encoder
from pretext.pretrained.folder import MEAN, METHOD, STD, WEIGHTS, WHITENING_MATRIX, WHITENING_MEAN, read_encoder
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun
from pretext.runs.whitening import Whitening
from pretext.training.checkpoint import Progress
from spectral_ssl.ground.errors import UserError


def load_encoder(encoder: str | Path = DEFAULT_ENCODER) -> TrainedRun:
    """Load an encoder that was trained before.

    Parameters
    ----------
    encoder : str or Path
        The name of an encoder that ships with the package (``spectral-ssl list encoders``), the
        folder of an encoder, or ``hf:OWNER/NAME`` for a repository of the Hugging Face hub. The
        last one needs the extra ``hub`` and the network.

    Returns
    -------
    TrainedRun
        It computes features. It has no state of optimisers and no parts that only training needs,
        so it cannot be resumed.

    Raises
    ------
    UserError
        If there is no such encoder, a file is missing, damaged or of a later version, or there is
        no network.

    Examples
    --------
    >>> import numpy as np
    >>> from spectral_ssl import load
    >>> encoder = load("universe-upright")
    >>> clouds = np.random.default_rng(0).normal(size=(5, 500, 3))  # five objects, 500 points each
    >>> features = encoder.encode(clouds)
    >>> len(features), features.dtype
    (5, dtype('float32'))
    """
    folder = find_encoder(encoder)
    facts, tensors = read_encoder(folder)
    try:
        return _build(folder, facts, tensors)
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        what_to_do = "download or copy the folder again, or install the version of spectral-ssl that wrote it"
        raise UserError("weights that do not fit their description", f"{folder} ({reason})", what_to_do) from error


load = load_encoder


def _build(folder: Path, facts: EncoderFacts, tensors: dict[str, Tensor]) -> TrainedRun:
    """Build the run of an encoder from its files."""
    plan, basis = Plan.from_toml(facts.plan), Basis.from_json(facts.basis)
    mean, std = tensors.pop(MEAN), tensors.pop(STD)
    # Checked before memory is reserved for a basis that does not fit these statistics.
    if mean.shape != basis.shape or std.shape != basis.shape:
        raise ValueError(f"statistics of shape {tuple(mean.shape)} for {basis.shape}")
    standardiser = Standardiser.from_statistics(basis, mean.float(), std.float())
    whitening = _take_whitening(tensors)
    state = {name.removeprefix(METHOD): value for name, value in tensors.items()}
    plan.check_sizes(standardiser, state, features_only=True)
    method = plan.build(standardiser)
    wanted = method.feature_state()
    if set(state) != set(wanted):
        raise ValueError(f"other tensors than the network's: {min(set(state) ^ set(wanted))}")
    for name, value in state.items():
        if value.is_floating_point() != wanted[name].is_floating_point():
            raise TypeError(f"{name} of type {value.dtype}")
    with torch.no_grad():
        for name, value in wanted.items():  # these share their memory with the network
            value.copy_(state[name])
    progress = asdict(Progress(**facts.progress))
    run = TrainedRun(
        folder=folder,
        plan=plan,
        method=method,
        standardise=standardiser,
        checkpoint={"place": progress},
        checkpoint_digest=facts.digest,
        checkpoint_path=folder / WEIGHTS,
        name=facts.name,
    )
    if whitening is not None:
        count = run.method.features(torch.zeros(1, *basis.shape)).shape[1]
        if count != len(whitening.mean):
            raise ValueError(f"a whitening of {len(whitening.mean)} features for {count}")
        run = replace(run, whitening=whitening)
    return run if facts.layer == DEFAULT else run.at_layer(facts.layer)


def _take_whitening(tensors: dict[str, Tensor]) -> Whitening | None:
    """Take the whitening out of the tensors of an encoder; None if there is none."""
    mean, matrix = tensors.pop(WHITENING_MEAN, None), tensors.pop(WHITENING_MATRIX, None)
    if mean is None and matrix is None:
        return None
    if mean is None or matrix is None or mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix):
        shapes = [None if each is None else tuple(each.shape) for each in (mean, matrix)]
        raise ValueError(f"a whitening of shapes {shapes}")
    return Whitening(mean.float(), matrix.float())
