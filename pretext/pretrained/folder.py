"""The folder of an encoder: what is needed to compute features, and where it comes from.

===================  ===========================================================================
weights.safetensors  parameters as float16, buffers, and the statistics of the training data
encoder.json         the description of the encoder, see ``EncoderFacts``
CARD.md              the same for people, with scores and limits
===================  ===========================================================================

Optimisers and the parts of a method that are used in training only are left out.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pretext.networks.feature_layers import DEFAULT
from pretext.pretrained.card import write_card
from pretext.pretrained.facts import FACTS, EncoderFacts, check_name, read_facts, write_facts
from pretext.pretrained.hub import check_repository, upload_encoder
from pretext.pretrained.weights import read_weights, write_weights
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file, sync_folder, write_text
from spectral_ssl.ground.provenance import created_by

if TYPE_CHECKING:  # a run has a method `save`, which calls this module
    from pretext.runs.trained_run import TrainedRun

WEIGHTS, CARD = "weights.safetensors", "CARD.md"
FILES = (WEIGHTS, FACTS, CARD)
LARGEST_HALF = 65504.0
METHOD, MEAN, STD = "method.", "statistics.mean", "statistics.std"
WHITENING_MEAN, WHITENING_MATRIX = "whitening.mean", "whitening.matrix"


def save_encoder(
    run: "TrainedRun",
    folder: Path | str,
    *,
    name: str | None = None,
    version: str = "1",
    recipe: str = "",
    licence: str = "",
    scores: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the encoder of a run as a folder.

    Parameters
    ----------
    run : TrainedRun
        The run, at the layer whose features are wanted.
    folder : path
        The folder to write.
    name : str, optional
        The encoder's name, letters, digits, dots, dashes and underscores; by default that of the
        encoder, or of the run's folder.
    version : str
        The version of the weights.
    recipe : str
        The command that trains such a run, for the card.
    licence : str
        The licence of the weights, for the card.
    scores : mapping, optional
        Measured scores, for the card.
    overwrite : bool
        Whether the files of an encoder in an existing folder may be replaced; others are kept.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        If the folder exists, cannot be written, the name is not allowed, or a weight is not finite.
    """
    target = Path(folder)
    name = name or run.name or target.resolve().name
    check_name(name, f"the folder {target}")
    if target.exists() and not (overwrite and target.is_dir()):
        raise UserError("output exists already", str(target), "choose another folder, or allow to overwrite")
    facts = EncoderFacts(
        name=name,
        version=version,
        plan=replace(run.plan, data="", init_from=_drop_folder(run.plan.init_from)).to_toml(),
        basis=run.basis.to_json(),
        layer=run.layer,
        dimensions=count_features(run),
        recipe=recipe,
        data=Path(run.plan.data).name,
        data_digest=run.plan.data_digest,
        seed=run.plan.train.seed,
        digest="",
        licence=licence,
        created_by=created_by(),
        progress=dict(run.checkpoint["place"]),
        scores=dict(scores or {}),
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The folder is renamed when it is complete, so that an interruption leaves no part of one.
        work = Path(mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            work.chmod(0o755)
            _write_folder(work, run, facts)
            if target.exists():
                _replace_files(work, target)
            else:
                work.replace(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        sync_folder(target.parent)
    except OSError as error:
        raise UserError("cannot write there", f"{target} ({error.strerror})", "choose another folder") from error
    return target


def send_encoder(run: "TrainedRun", repository: str, *, licence: str = "", is_private: bool = False) -> str:
    """Send the encoder of a run to the Hugging Face hub; parameters as those of ``TrainedRun.push_to_hub``.

    The files of an encoder that is exactly as it was loaded are sent as they are, with the scores on
    their card. Everything else is saved anew: another layer, other weights, another whitening, other
    settings.
    """
    check_repository(repository)
    original = run.checkpoint_path.parent
    with TemporaryDirectory(prefix="spectral-ssl-") as work:
        saved = save_encoder(run, Path(work) / "encoder", name=repository.rpartition("/")[2], licence=licence)
        is_as_loaded = bool(run.name) and not licence and _is_same(run, original, saved)
        return upload_encoder(original if is_as_loaded else saved, repository, is_private=is_private)


def _is_same(run: "TrainedRun", original: Path, saved: Path) -> bool:
    """Tell whether the folder from which an encoder was loaded gives the same features as one saved from it."""
    if not (original / FACTS).is_file():
        return False
    one, two = read_facts(original), read_facts(saved)
    read_plan = type(run.plan).from_toml
    has_same_weights = hash_file(original / WEIGHTS) == one.digest == two.digest
    return (
        has_same_weights
        and (one.layer, one.basis) == (two.layer, two.basis)
        and (read_plan(one.plan) == read_plan(two.plan))
    )


def count_features(run: "TrainedRun") -> int:
    """Count the features of a run at its layer; in a sum of layers none is whitened."""
    sizes = run.layers() if run.layer == DEFAULT else replace(run, whitening=None).layers()
    return sum(sizes[name] for name in run.layer.split("+"))


def _replace_files(work: Path, target: Path) -> None:
    """Replace the files of an encoder and keep all others; the description is absent while they do not fit it."""
    (target / FACTS).unlink(missing_ok=True)
    for name in (WEIGHTS, CARD, FACTS):
        (work / name).replace(target / name)
    sync_folder(target)


def _drop_folder(name: str) -> str:
    """Return the name of a run or an encoder without its folder, which is of this machine only."""
    return Path(name).name if Path(name).is_absolute() else name


def _write_folder(folder: Path, run: "TrainedRun", facts: EncoderFacts) -> None:
    """Write the three files of an encoder."""
    tensors = {METHOD + name: value for name, value in shrink(run.method).items()}
    tensors |= {MEAN: run.standardise.mean, STD: run.standardise.std}
    if run.whitening is not None and run.layer == DEFAULT:
        tensors |= {WHITENING_MEAN: run.whitening.mean, WHITENING_MATRIX: run.whitening.matrix.half()}
    _check_finite(tensors, "the run", "train again with a lower learning rate")
    write_weights(folder / WEIGHTS, tensors)
    write_description(folder, replace(facts, digest=hash_file(folder / WEIGHTS)))


def write_description(folder: Path, facts: EncoderFacts) -> None:
    """Write ``encoder.json`` and the card of an encoder whose weights are written."""
    write_text(folder / FACTS, write_facts(facts))
    write_text(folder / CARD, write_card(facts, (folder / WEIGHTS).stat().st_size))


def shrink(method: Any) -> dict[str, Tensor]:
    """Return the state that features need, parameters as float16 where they fit.

    Parameters
    ----------
    method : Method
        The trained method.

    Returns
    -------
    dict of str to Tensor
        Buffers, such as counters and statistics, keep their type. So do parameters beyond the
        range of float16.
    """
    parameters = {name for name, _ in method.named_parameters()} if isinstance(method, nn.Module) else set()
    return {
        name: value.half() if name in parameters and _fits_half(value) else value
        for name, value in method.feature_state().items()
    }


def _fits_half(values: Tensor) -> bool:
    """Tell whether float32 values can be rounded to float16."""
    is_single = values.dtype == torch.float32
    return is_single and (values.numel() == 0 or bool(values.abs().max() <= LARGEST_HALF))


def _check_finite(tensors: Mapping[str, Tensor], where: str, do: str) -> None:
    """Raise a UserError that names the first tensor with NaN or infinity."""
    for name, values in tensors.items():
        if values.is_floating_point() and not bool(values.isfinite().all()):
            raise UserError("weights that are not finite", f"NaN or infinity in {name} of {where}", do)


def read_encoder(folder: Path) -> tuple[EncoderFacts, dict[str, Tensor]]:
    """Read the description and the tensors of an encoder.

    Parameters
    ----------
    folder : Path
        The folder of the encoder.

    Returns
    -------
    facts : EncoderFacts
    tensors : dict of str to Tensor
        Read-only, as they are stored.

    Raises
    ------
    UserError
        If a file is missing, damaged, or of a later version, or a weight is not finite.
    """
    facts = read_facts(folder)
    path = folder / WEIGHTS
    do = "download or copy the folder again"
    try:
        if not path.is_file():
            raise UserError("the weights of the encoder are missing", str(path), do)
        if hash_file(path) != facts.digest:
            raise UserError("damaged weights of the encoder", f"{path} (its digest is not that in {FACTS})", do)
        tensors = read_weights(path)
    except ValueError as error:
        raise UserError("damaged weights of the encoder", f"{path} ({error})", do) from error
    except OSError as error:
        raise UserError("cannot read the weights", f"{path} ({error.strerror})", "check its permissions") from error
    _check_finite(tensors, str(path), "give another encoder, or train it again with a lower learning rate")
    return facts, tensors
