"""From a code: an image or a spectral map is generated from features of it alone.

The condition is the code of a sample as a map of one cell, (D, 1, 1). The target is the sample
itself. The setting ``features`` says where codes come from:

* A feature file (`spectral-ssl export`), matched to the data by ids. Given a run (`pretrain
  --features`), such a file is exported first.
* ``labels``: the sample's class, one value for each class. This is for label-conditioned baselines,
  and the only use of labels in pretext training.
* ``none``: a single 0 for all samples, for methods that generate images from noise alone.

For the latent-space-conditioned GAN (``pretext.methods.lsc_gan.model``) a sample's neighbours in
the space of codes can be found in two ways. With ``set`` they come from the whole training split
and follow the samples in a batch. With ``batch`` the method finds them in the batch, as the paper's
algorithm 1 prints it.

Letters in shapes: B batch, C, H, W of the maps, D values of a code.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch

from data_prep.basis import PAIR, Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.neighbours.exact import Metric
from pretext.networks.feature_layers import DEFAULT
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

NONE, LABELS = "none", "labels"


@dataclass(frozen=True, kw_only=True)
class FromCodeConfig:
    """Settings of the task.

    Attributes
    ----------
    features : str
        A feature file, "labels" or "none".
    code_layer : str
        If ``features`` is a run: the layer whose activations are the codes (``list layers``).
    nearest, farthest : {"set", "batch"}
        Where a sample's neighbours are searched: in the training split or in its batch.
    metric : {"l1", "l2"}
        Distance of codes.
    dimensions : int
        Number D of values of a code; set when a run is made.
    features_digest : str
        Digest of ids and values of the feature file; set when a run is made.
    extractor : str
        The run that computed the features, if it is known; set when a run is made.
    """

    features: str = NONE
    code_layer: str = DEFAULT
    nearest: Literal["set", "batch"] = "set"
    farthest: Literal["set", "batch"] = "batch"
    metric: Metric = "l1"
    dimensions: int = field(default=0, metadata=within(0, 10_000_000))
    features_digest: str = ""
    extractor: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, "task")

    @property
    def followers(self) -> tuple[str, ...]:
        """The kinds of neighbours that are searched in the training split."""
        sources = {"nearest": self.nearest, "farthest": self.farthest}
        return tuple(side for side, where in sources.items() if where == "set" and self.features not in (NONE, LABELS))


def from_code_problem(basis: Basis, config: FromCodeConfig) -> Problem:
    """Build the problem, or raise a UserError for paired images and data without extent."""
    if basis.kind == "pixels" and (basis.layout == PAIR or basis.shape[1:] == (1, 1)):
        got = "paired images" if basis.layout == PAIR else "images of one pixel"
        raise UserError("the task from-code works on single images and spectral maps", got, "give other --data")
    return Problem(
        condition=(max(1, config.dimensions), 1, 1),
        target=basis.shape,
        bounded=basis.kind == "pixels",
        coded=config.features != NONE,
        followers=config.followers,
        metric=config.metric,
    )


def from_code(batch: Batch, config: FromCodeConfig, generator: torch.Generator) -> Example:
    """Return codes (B, D, 1, 1), the maps themselves and weight 1 for all valid cells."""
    codes = batch.codes
    if codes is None:
        if config.features != NONE:
            raise UserError("maps without codes", f"features of {config.features}", "give maps of the run's own data")
        codes = torch.zeros(len(batch.maps), 1)
    weight = batch.standardise.valid.to(batch.maps.dtype).expand_as(batch.maps)
    return Example(codes[:, :, None, None], batch.maps, weight)
