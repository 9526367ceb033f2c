"""Which layer of a network has the best features: chosen by cross-validation inside the training split.

The score of a layer is the cross-validated training accuracy of the linear probe (``downstream.probes.classifiers.logistic``) on its
features. Nothing here has an argument that could carry test data.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.probes.classifiers.logistic import fit_logistic
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.progress import progress

AUTO, ALL = "auto", "all"  # in place of a layer's name
MOST_SAMPLES = 2000
# Larger layers are not tried: their fits take minutes, and the same values averaged over parts are tried anyway.
MOST_FEATURES = 8192


@dataclass(frozen=True)
class LayerChoice:
    """The layer chosen for a row of the table.

    Attributes
    ----------
    row : str
        The row.
    layer : str
        The layer.
    scores : dict of str to float
        Cross-validated training accuracy of every layer tried.
    not_tried : tuple of str
        Layers of too many features.
    samples : int
        Training samples used.
    """

    row: str
    layer: str
    scores: dict[str, float]
    not_tried: tuple[str, ...]
    samples: int


def choose_candidate_layers(sizes: Mapping[str, int]) -> list[str]:
    """The layers, of so many features, that are not too large to be probed, but for the default."""
    return [name for name, size in sizes.items() if size <= MOST_FEATURES and name != DEFAULT]


def choose_layer(
    row: str, run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], seed: int
) -> LayerChoice:
    """Score every layer of a network on the training split.

    Parameters
    ----------
    row : str
        The row of the table it is for.
    run : TrainedRun
        The network.
    maps : MapFile
        Of the run's basis.
    train, labels : ndarray, shape (N,), int64
        Rows of the training split and their labels.
    seed : int
        Draws the samples and the folds.

    Returns
    -------
    LayerChoice
        Of equally good layers the one with the fewest features.

    Raises
    ------
    UserError
        As ``fit_logistic``.
    """
    sizes = run.layers()
    names = [DEFAULT, *choose_candidate_layers(sizes)]
    places = draw_from_each_class(labels, MOST_SAMPLES, seed)
    # one pass through the network gives all of them side by side
    joined = run.at_layer("+".join(names)).encode_file(maps, train[places])
    ends = np.cumsum([sizes[name] for name in names])
    features = dict(zip(names, np.split(joined, ends[:-1], axis=1), strict=True))
    scores: dict[str, float] = {}
    with progress(f"layer of the {row}", len(features)) as advance:
        for name, values in features.items():
            # the default may be there once more under its other name
            if name == DEFAULT or not np.array_equal(values, features[DEFAULT]):
                scores[name] = fit_logistic(values, labels[places], seed).cross_validation
            advance(1, name)
    best = min(scores, key=lambda name: (-scores[name], sizes[name]))
    return LayerChoice(row, best, scores, tuple(name for name in sizes if name not in names), len(places))


def draw_from_each_class(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """About ``most`` places of labels (N,), in order: of each class its share, but at least two where it has them."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    kept = []
    for each in np.unique(labels):
        places = order[labels[order] == each]
        kept.append(places[: max(2, round(len(places) * most / len(labels)))])
    return np.sort(np.concatenate(kept))
