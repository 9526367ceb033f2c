"""What features are worth while they are learnt: a watcher beside the training, of which the method knows nothing.

Some samples of the training split are encoded now and then, always the same ones and undamaged:

* ``effective_rank``: in how many dimensions their features live;
* ``knn_accuracy``: where they have labels, the share of them whose 10 most similar others vote for their class.

The labels stay in here. Nothing is drawn but the samples, once, so that a watched training is the unwatched one.

Letters in shapes: B batch, C, H, W of the maps, N samples watched, D features.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pretext.data.batch import Batch
from pretext.data.training_split import TrainingMaps
from pretext.method import Method
from spectral_ssl.ground.progress import say

NEIGHBOURS = 10
# So many samples are trained on for each one watched: a forward pass costs a third of a step: about 4 %.
SPACING = 8
FEWEST = 128  # in small splits more than their share is watched: fewer would say nothing
ROWS_AT_ONCE = 256
# Features that live in fewer dimensions than this have all but collapsed; not said of the first steps.
ALARM = 3.0
ALARM_AFTER = 30


class FeatureWatch:
    """Watched samples of a training split.

    Parameters
    ----------
    data : TrainingMaps
        The training split.
    view : callable
        The task's: (batch) -> conditions (B, C, H, W) without corruption.
    most : int
        Most samples watched; no more than an eighth of the split, or 128.
    generator : torch.Generator
        Draws them.
    """

    def __init__(
        self, data: TrainingMaps, view: Callable[[Batch], Tensor], most: int, generator: torch.Generator
    ) -> None:
        self.data = data
        self.view = view
        count = min(most, len(data), max(len(data) // SPACING, FEWEST))
        self.places = torch.randperm(len(data), generator=generator)[:count].sort().values
        labels = torch.from_numpy(np.asarray(data.maps.labels[data.rows[self.places.numpy()]]))
        self.labelled = labels >= 0
        self.labels = labels[self.labelled]
        # data that has few dimensions itself (the toy's one number) cannot have features of more
        some = torch.cat([part.flatten(1) for part in self._conditions()[:1]])[:FEWEST]
        self.alarm = min(ALARM, effective_rank(some))
        self._warned = False

    def __len__(self) -> int:
        return len(self.places)

    def due(self, trained: int) -> bool:
        """Whether to look again after so many samples of training."""
        return trained >= SPACING * len(self)

    def measure(self, method: Method, step: int, device: torch.device | None = None) -> dict[str, float]:
        """Encode the watched samples; say once when their features have collapsed.

        Parameters
        ----------
        method : Method
            Left as it is.
        step : int
            Finished steps.
        device : torch.device, optional
            Where the method is.

        Returns
        -------
        dict of str to float
            ``effective_rank``, and ``knn_accuracy`` where at least two classes are among the samples.
        """
        features = torch.cat([method.encode(part.to(device)).cpu() for part in self._conditions()])  # (N, D)
        rank = effective_rank(features)
        if rank < self.alarm and step >= ALARM_AFTER and len(self) > 4 * ALARM and not self._warned:
            say(f"the features are collapsing: effective rank {rank:.1f} at step {step}")
            self._warned = True
        found = {"effective_rank": rank}
        if len(self.labels.unique()) > 1:
            found["knn_accuracy"] = knn_accuracy(features[self.labelled], self.labels)
        return found

    def _conditions(self) -> list[Tensor]:
        return [self.view(self.data.alone(places)) for places in self.places.split(ROWS_AT_ONCE)]


def knn_accuracy(features: Tensor, labels: Tensor, neighbours: int = NEIGHBOURS) -> float:
    """Share of samples whose most similar others vote for their class.

    As the probe ``neighbours`` (``downstream.probes.classifiers.knn``), but each sample asks all the others.

    Parameters
    ----------
    features : Tensor, shape (N, D), float32
        At least two; standardised here.
    labels : Tensor, shape (N,), int64
        Not negative.
    neighbours : int
        Voters; of classes with as many votes the one with the more similar voters wins.

    Returns
    -------
    float
        NaN where a feature is not finite.
    """
    if not torch.isfinite(features).all():
        return math.nan
    std = features.std(dim=0)
    standard = (features - features.mean(dim=0)) / torch.where(std > 1e-12, std, 1.0)
    directions = functional.normalize(standard, dim=1)
    similarity = (directions @ directions.T).fill_diagonal_(-math.inf)  # (N, N)
    nearest = similarity.topk(min(neighbours, len(features) - 1), dim=1)
    votes = torch.zeros(len(features), int(labels.max()) + 1)
    # a vote counts 1, plus a similarity too small to outweigh another vote
    votes.scatter_add_(1, labels[nearest.indices], 1.0 + nearest.values / (2.0 * neighbours))
    return float((votes.argmax(dim=1) == labels).float().mean())


def effective_rank(features: Tensor) -> float:
    """Effective rank of features (N, D): exp of the entropy of their normalised singular values, centred.

    Source: Roy and Vetterli, "The effective rank" (EUSIPCO 2007). 1 for features on a line, at most min(N - 1, D); 0
    where all are the same, NaN where one is not finite.
    """
    if not torch.isfinite(features).all():
        return math.nan
    centred = (features - features.mean(dim=0)).double()
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    total = values.sum()
    if total <= 1e-12:
        return 0.0
    shares = values / total
    return float(torch.special.entr(shares).sum().exp())
