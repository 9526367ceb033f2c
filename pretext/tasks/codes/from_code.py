"""From a code: a picture (or spectral map) of which only features are given.

The condition is the code of a sample as a map of one place, (D, 1, 1); the target is the sample itself. Where codes
come from is the setting ``features``:

* a feature file (`spectral-ssl export`), matched to the data by ids; of a run one is made first (`pretrain
  --features`);
* ``labels``: the sample's class, one value for each class; for label-conditioned baselines, the only use of labels
  here;
* ``none``: the same single 0 for all, for methods that give a picture out of noise alone.

For the latent-space-conditioned GAN (``pretext.methods.lsc_gan.model``) each sample's neighbours in the space of codes can follow it
in a batch: those over the whole training split (``set``); or the method looks among the batch, as printed in the
paper's algorithm 1 (``batch``).
"""

from dataclasses import dataclass
from typing import Literal

import torch

from data_prep.basis import PAIR, Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.neighbours.exact import Metric
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

NONE, LABELS = "none", "labels"


@dataclass(frozen=True, kw_only=True)
class FromCodeConfig:
    """Settings of the task.

    Attributes
    ----------
    features : str
        A feature file, "labels" or "none".
    nearest, farthest : {"set", "batch"}
        Where a sample's neighbours are looked for: in the training split, or in the batch it is in.
    metric : {"l1", "l2"}
        Distance of codes.
    dimensions : int
        D; filled in when a run is made.
    features_digest : str
        Of ids and values of the feature file; filled in when a run is made.
    extractor : str
        The run whose features they are, if it is known; filled in when a run is made.
    """

    features: str = NONE
    nearest: Literal["set", "batch"] = "set"
    farthest: Literal["set", "batch"] = "batch"
    metric: Metric = "l1"
    dimensions: int = 0
    features_digest: str = ""
    extractor: str = ""

    def __post_init__(self) -> None:
        check_range("task.dimensions", self.dimensions, 0, 10_000_000)

    @property
    def followers(self) -> tuple[str, ...]:
        """Which neighbours are looked for in the training split."""
        wanted = {"nearest": self.nearest, "farthest": self.farthest}
        return tuple(side for side, where in wanted.items() if where == "set" and self.features not in (NONE, LABELS))


def from_code_problem(basis: Basis, config: FromCodeConfig) -> Problem:
    """A code in, a picture or a spectral map out. Raises a UserError for paired images and data without extent."""
    if basis.kind == "pixels" and (basis.layout == PAIR or basis.shape[1:] == (1, 1)):
        got = "paired images" if basis.layout == PAIR else "images of one pixel"
        raise UserError("the task from-code works on single pictures and spectral maps", got, "give other --data")
    return Problem(
        condition=(max(1, config.dimensions), 1, 1),
        target=basis.shape,
        bounded=basis.kind == "pixels",
        coded=config.features != NONE,
        followers=config.followers,
        metric=config.metric,
    )


def from_code(batch: Batch, config: FromCodeConfig, generator: torch.Generator) -> Example:
    """Codes (B, D, 1, 1), the maps themselves, weight 1 in all cells that hold something. Nothing is drawn."""
    codes = batch.codes
    if codes is None:
        if config.features != NONE:
            raise UserError("maps without codes", f"features of {config.features}", "give maps of the run's own data")
        codes = torch.zeros(len(batch.maps), 1)
    weight = batch.standardise.valid.to(batch.maps.dtype).expand_as(batch.maps)
    return Example(codes[:, :, None, None], batch.maps, weight)
