"""Feature statistics during training: a monitor that can see whether features collapse or separate classes.

Now and then the monitor encodes some samples of the training split, always the same ones, without
corruption:

* ``effective_rank``: the number of dimensions that their features occupy;
* ``knn_accuracy``: if they have labels, the share of samples whose most similar others vote for
  their class: 10, or fewer if a class has fewer samples on average.

The method gets neither labels nor statistics. Only the choice of the samples is random, and it is
made once. A monitored training is therefore the same as one without a monitor.

Letters in shapes: B batch, C, H, W of the maps, N monitored samples, D features.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pretext.data.batch import Batch
from pretext.data.training_split import TrainingSplit
from pretext.method import Method
from spectral_ssl.ground.progress import say

NEIGHBOURS = 10
ROUNDING_ERRORS = 4  # up to which a feature is constant, as in ``downstream.features.standardise``
# Samples of training for each monitored one. A forward pass costs a third of a step, so the monitor
# costs about 4 %.
SPACING = 8
FEWEST = 128  # monitored samples of a small split, where an eighth would be too few for statistics
ROWS_AT_ONCE = 256
# Features with a smaller effective rank have all but collapsed. The first steps raise no alarm.
ALARM = 3.0
ALARM_AFTER = 30


class FeatureMonitor:
    """The monitored samples of a training split.

    Parameters
    ----------
    data : TrainingSplit
        The training split.
    view : callable
        The task's view: (batch) -> conditions (B, C, H, W) without corruption.
    most : int
        Largest number of monitored samples. There are at most an eighth of the split, or 128.
    generator : torch.Generator
        The source of the random choice of samples.
    """

    def __init__(
        self, data: TrainingSplit, view: Callable[[Batch], Tensor], most: int, generator: torch.Generator
    ) -> None:
        self.data = data
        self.view = view
        count = min(most, len(data), max(len(data) // SPACING, FEWEST))
        self.positions = torch.randperm(len(data), generator=generator)[:count].sort().values
        labels = torch.from_numpy(np.asarray(data.maps.labels[data.rows[self.positions.numpy()]]))
        self.labelled = labels >= 0
        self.labels = labels[self.labelled]
        # Data of few dimensions (the toy's single number) cannot have features of more.
        some = torch.cat([part.flatten(1) for part in self._conditions()[:1]])[:FEWEST]
        self.alarm = min(ALARM, effective_rank(some))
        self._has_warned = False

    def __len__(self) -> int:
        return len(self.positions)

    def is_due(self, trained: int) -> bool:
        """Tell whether to measure again after so many samples of training."""
        return trained >= SPACING * len(self)

    def measure(self, method: Method, step: int, device: torch.device | None = None) -> dict[str, float]:
        """Encode the monitored samples, and warn once if their features have collapsed.

        Parameters
        ----------
        method : Method
            The method, which is not changed.
        step : int
            Number of finished steps.
        device : torch.device, optional
            The method's device.

        Returns
        -------
        dict of str to float
            ``effective_rank``, and ``knn_accuracy`` if the samples have at least two classes.
        """
        features = torch.cat([method.encode(part.to(device)).cpu() for part in self._conditions()])  # (N, D)
        rank = effective_rank(features)
        if rank < self.alarm and step >= ALARM_AFTER and len(self) > 4 * ALARM and not self._has_warned:
            say(f"the features are collapsing: effective rank {rank:.1f} at step {step}")
            self._has_warned = True
        statistics = {"effective_rank": rank}
        if len(self.labels.unique()) > 1:
            statistics["knn_accuracy"] = knn_accuracy(features[self.labelled], self.labels)
        return statistics

    def _conditions(self) -> list[Tensor]:
        """Read the monitored samples as conditions, in blocks."""
        return [self.view(self.data.read_samples(positions)) for positions in self.positions.split(ROWS_AT_ONCE)]


def count_neighbours(labels: Tensor) -> int:
    """Return the number of voters for labelled samples (N,): 10, or of few those that a class of mean size offers.

    More would outvote a class whose samples lie together, because it lacks the sample that is left
    out. Ten voters classify no sample of separated pairs correctly.
    """
    return min(NEIGHBOURS, max(1, len(labels) // max(1, len(labels.unique())) - 1))


def knn_accuracy(features: Tensor, labels: Tensor, neighbours: int | None = None) -> float:
    """Compute the share of samples whose most similar others vote for their class.

    This is the nearest-neighbour probe (``downstream.probes.classifiers.knn``) with each sample
    left out in turn.

    Parameters
    ----------
    features : Tensor, shape (N, D), float32
        At least two; they are standardised here.
    labels : Tensor, shape (N,), int64
        Class of each sample, not negative.
    neighbours : int, optional
        Number of voters, by default that of ``count_neighbours``. If classes have equally many
        votes, the one with the more similar voters wins.

    Returns
    -------
    float
        NaN if a feature is not finite.
    """
    if not torch.isfinite(features).all():
        return math.nan
    std = features.std(dim=0)
    # A feature that varies by rounding only becomes 0. Its noise would be as large as other features.
    rounding = ROUNDING_ERRORS * torch.finfo(features.dtype).eps * features.abs().amax(dim=0)
    standard = (features - features.mean(dim=0)) / torch.where(std > rounding, std, torch.inf)
    directions = functional.normalize(standard, dim=1)
    similarity = (directions @ directions.T).fill_diagonal_(-math.inf)  # (N, N)
    neighbours = neighbours or count_neighbours(labels)
    nearest = similarity.topk(min(neighbours, len(features) - 1), dim=1)
    votes = similarity.new_zeros(len(features), int(labels.max()) + 1)
    # A vote counts 1, plus a similarity too small to outweigh another vote.
    votes.scatter_add_(1, labels[nearest.indices], 1.0 + nearest.values / (2.0 * neighbours))
    return float((votes.argmax(dim=1) == labels).float().mean())


def effective_rank(features: Tensor) -> float:
    """Compute the effective rank of features (N, D): exp of the entropy of their normalised singular values, centred.

    Source: Roy and Vetterli, "The effective rank" (EUSIPCO 2007). It is 1 for features on a line,
    and at most min(N - 1, D). It is 0 if all features are the same, and NaN if one is not finite.
    Singular values of rounding errors count as 0: those up to 4 eps m (sqrt(N) + sqrt(D)), where m
    is the largest absolute value. Without this limit, collapsed features would have a high rank.
    """
    if not torch.isfinite(features).all():
        return math.nan
    exact = features.double()
    centred = exact - exact.mean(dim=0)
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    rounding = ROUNDING_ERRORS * torch.finfo(features.dtype).eps * float(features.abs().max())
    values = values[values > rounding * (math.sqrt(features.shape[0]) + math.sqrt(features.shape[1]))]
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
