"""Choose the layer of a network with the best features by cross-validation inside the training split.

The score of a layer is the cross-validated training accuracy of the linear probe on its features
(``downstream.probes.classifiers.logistic``). No function of this module has an argument for test
data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.probes.classifiers.logistic import fit_logistic
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.progress import progress

AUTO, ALL = "auto", "all"  # Options instead of the name of a layer.
MOST_SAMPLES = 2000
# Larger layers are not tried, because their fits take minutes. Their averages over parts are tried.
MOST_FEATURES = 8192


@dataclass(frozen=True)
class LayerChoice:
    """The chosen layer of a row of the table.

    Attributes
    ----------
    row : str
        Name of the row.
    layer : str
        Chosen layer.
    scores : dict of str to float
        Cross-validated training accuracy of every layer that was tried.
    not_tried : tuple of str
        Layers with too many features.
    samples : int
        Number of training samples used.
    """

    row: str
    layer: str
    scores: dict[str, float]
    not_tried: tuple[str, ...]
    samples: int


def choose_candidate_layers(sizes: Mapping[str, int]) -> list[str]:
    """Return the layers, given by their numbers of features, that are small enough; the default is left out."""
    return [name for name, size in sizes.items() if size <= MOST_FEATURES and name != DEFAULT]


def choose_layer(
    row: str, run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], seed: int
) -> LayerChoice:
    """Compute the score of every layer of a network on the training split, and choose the best.

    Parameters
    ----------
    row : str
        Name of the row of the table.
    run : TrainedRun
        Run with the network.
    maps : MapFile
        Maps with the basis of the run.
    train, labels : ndarray, shape (N,), int64
        Rows of the training split and their labels.
    seed : int
        Seed of the samples and of the folds.

    Returns
    -------
    LayerChoice
        Choice with all scores. Among equally good layers the one with the fewest features is
        chosen.

    Raises
    ------
    UserError
        In all cases of ``fit_logistic``.
    """
    sizes = run.layers()
    names = [DEFAULT, *choose_candidate_layers(sizes)]
    drawn = draw_from_each_class(labels, MOST_SAMPLES, seed)
    # One pass through the network computes all layers next to each other.
    joined = run.at_layer("+".join(names)).encode_file(maps, train[drawn])
    ends = np.cumsum([sizes[name] for name in names])
    features = dict(zip(names, np.split(joined, ends[:-1], axis=1), strict=True))
    scores: dict[str, float] = {}
    with progress(f"layer of the {row}", len(features)) as advance:
        for name, values in features.items():
            # The default layer may be listed again under its other name.
            if name == DEFAULT or not np.array_equal(values, features[DEFAULT]):
                scores[name] = fit_logistic(values, labels[drawn], seed).cross_validation
            advance(1, name)
    best = min(scores, key=lambda name: (-scores[name], sizes[name]))
    return LayerChoice(row, best, scores, tuple(name for name in sizes if name not in names), len(drawn))


def score_layers(
    features: NDArray[np.float32], labels: NDArray[np.int64], layers: Mapping[str, slice], seed: int
) -> dict[str, float]:
    """Compute the cross-validated training accuracy of the linear probe for each layer.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Joined features of all layers, of training samples.
    labels : ndarray, shape (N,), int64
        Labels of these samples.
    layers : mapping of str to slice
        Columns of each layer.
    seed : int
        Seed of the folds.
    """
    drawn = draw_from_each_class(labels, MOST_SAMPLES, seed)
    return {
        name: fit_logistic(features[drawn, columns], labels[drawn], seed).cross_validation
        for name, columns in layers.items()
    }


def find_best_layer(scores: Mapping[str, float], layers: Mapping[str, slice]) -> str:
    """Return the layer with the highest score; among equals the one with the fewest features."""
    return min(scores, key=lambda name: (-scores[name], layers[name].stop - layers[name].start))


def summarise_choices(
    row: str, scores: Sequence[Mapping[str, float]], sizes: Mapping[str, int], samples: int
) -> LayerChoice:
    """Summarise the choices of a layer in all folds of a cross-validation.

    Parameters
    ----------
    row : str
        Name of the row of the table.
    scores : sequence of mapping
        For each fold the score of each layer.
    sizes : mapping of str to int
        Numbers of features of all layers of the network.
    samples : int
        Number of training samples of a fold.

    Returns
    -------
    LayerChoice
        Layer with the highest mean score, and the means. The folds may have chosen others.
    """
    means = {name: float(np.mean([each[name] for each in scores])) for name in scores[0]}
    best = min(means, key=lambda name: (-means[name], sizes[name]))
    return LayerChoice(row, best, means, tuple(name for name in sizes if name not in means), samples)


def draw_from_each_class(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw about ``most`` samples and return their rows in order.

    Each class keeps its share, with at least two samples if it has them.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        drawn.append(rows[: max(2, round(len(rows) * most / len(labels)))])
    return np.sort(np.concatenate(drawn))
