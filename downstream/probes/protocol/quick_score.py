"""A quick score of a run's features at the end of its training; ``spectral-ssl probe`` measures them properly."""

from dataclasses import dataclass
from math import isnan

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.probes.compared_features import TRAINED, UNTRAINED
from downstream.probes.intervals import compute_accuracy_interval
from pretext.runs.evaluation import describe_rows
from pretext.runs.source_weights import load_source
from pretext.runs.trained_run import TrainedRun
from pretext.training.feature_statistics import NEIGHBOURS, count_neighbours, knn_accuracy
from spectral_ssl.ground.errors import UserError

MOST = 300  # samples: a second or two of one core for most encoders
FEWEST = 20
SOURCE = "weights at the start"


@dataclass(frozen=True)
class QuickScore:
    """Accuracies of nearest neighbours among a few samples, each left out in turn.

    Attributes
    ----------
    scores : dict of str to float
        Accuracy by features: the trained network, the weights that it started from if they were not
        random, and baselines that need no training. NaN if features are not finite.
    count : int
        Number of samples.
    described : str
        The samples and their split.
    neighbours : int
        Number of neighbours: 10, or of few samples those that a class of mean size offers. More would
        outvote a class whose samples lie together, because it lacks the sample that is left out.
    """

    scores: dict[str, float]
    count: int
    described: str
    neighbours: int = NEIGHBOURS

    def write(self) -> str:
        """Write the scores in one line, with their 95 % intervals."""
        listed = []
        for name, score in self.scores.items():
            if isnan(score):
                listed.append(f"{name}: features that are not finite")
                continue
            low, high = compute_accuracy_interval(score, self.count)
            listed.append(f"{name} {score:.2f} ({low:.2f} to {high:.2f})")
        voters = f"{self.neighbours} nearest neighbour{'s' * (self.neighbours != 1)}"
        return f"quick score, {voters} among {self.described}: {', '.join(listed)}"


def compute_quick_score(run: TrainedRun, maps: MapFile, seed: int = 0) -> QuickScore | None:
    """Compute the quick score on the labelled samples of the test split, or of all splits if it is too small.

    Parameters
    ----------
    run : TrainedRun
        The run.
    maps : MapFile
        Its map file.
    seed : int
        Seed of the choice of samples, and of the untrained network's parameters.

    Returns
    -------
    QuickScore or None
        The score; None if fewer than 20 samples of at least two classes have labels.
    """
    test = maps.rows("test")
    for candidates in (test, maps.rows()):
        labelled = candidates[maps.labels[candidates] >= 0]
        rows = np.sort(np.random.default_rng(seed).permutation(labelled)[:MOST])
        labels = maps.labels[rows]
        if len(rows) >= FEWEST and len(np.unique(labels)) > 1:
            break
    else:
        return None
    features = {
        TRAINED: run.encode_file(maps, rows),
        **_encode_by_source(run, maps, rows),
        UNTRAINED: run.untrained(seed).encode_file(maps, rows),
        "maps themselves": maps.read(rows).reshape(len(rows), -1),
    }
    targets = torch.from_numpy(np.asarray(labels, np.int64))
    scores = {name: knn_accuracy(torch.from_numpy(values), targets) for name, values in features.items()}
    return QuickScore(scores, len(rows), describe_rows(maps, rows), count_neighbours(targets))


def _encode_by_source(run: TrainedRun, maps: MapFile, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Compute the features of the weights that a run started from; none if they were random or are gone."""
    try:
        source = load_source(run.plan)
        return {} if source is None else {SOURCE: source.encode_file(maps, rows)}
    except UserError:
        return {}
