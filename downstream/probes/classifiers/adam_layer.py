"""Fit a single fully connected layer on frozen features with Adam, the probe of the papers.

The model is softmax regression, as in ``downstream.probes.classifiers.logistic``. Its C is 1 / (N
decay), where N is the number of samples. The optimisation differs: a fixed number of steps on small
batches from zero weights, so that early stopping regularises too.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from downstream.features.standardise import fit_scaler
from downstream.probes.cross_validation import FittedProbe, Predictor, choose_and_fit, make_linear_predictor

# From strong to weak regularisation, for standardised features.
WEIGHT_DECAYS = (1.0, 0.1, 0.03, 0.01, 1e-3, 0.0)
EPOCHS = 50
FEWEST_STEPS = 1000  # If an epoch has few batches, there are more epochs.
BATCH = 128
RATE = 1e-3


def fit_layer(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> FittedProbe:
    """Choose the weight decay on the training split and train on all of it.

    It minimises mean over samples of cross entropy(softmax(W x + b), label) + decay |W|^2 / 2.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features of the training split.
    labels : ndarray, shape (N,), int64
        Labels of the training split.
    seed : int
        Seed of the folds and of the order of the batches.

    Returns
    -------
    FittedProbe
        Probe whose strength is the weight decay.

    Raises
    ------
    UserError
        If there are fewer than two classes, a class has fewer than two samples, or a feature is not
        finite.
    """

    def path(values: NDArray[np.float32], classes: NDArray[np.int64], decays: tuple[float, ...]) -> Iterator[Predictor]:
        return (_train(values, classes, decay, seed) for decay in decays)

    return choose_and_fit(path, WEIGHT_DECAYS, features, labels, seed)


def _train(features: NDArray[np.float32], labels: NDArray[np.int64], decay: float, seed: int) -> Predictor:
    """Train the layer with one weight decay."""
    classes, targets = np.unique(labels, return_inverse=True)
    scaler = fit_scaler(features)
    values = torch.from_numpy(scaler.transform(features).astype(np.float32, copy=False))
    target_classes = torch.from_numpy(targets.astype(np.int64))
    weights = torch.zeros(len(classes), values.shape[1], requires_grad=True)
    offsets = torch.zeros(len(classes), requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [weights], "weight_decay": decay}, {"params": [offsets], "weight_decay": 0.0}], lr=RATE
    )
    generator = torch.Generator().manual_seed(seed)
    batches = math.ceil(len(values) / BATCH)  # of an epoch; the last one may be smaller
    for _ in range(max(EPOCHS, math.ceil(FEWEST_STEPS / batches))):
        for rows in torch.randperm(len(values), generator=generator).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(functional.linear(values[rows], weights, offsets), target_classes[rows])
            loss.backward()
            optimizer.step()
    return make_linear_predictor(scaler, weights.detach().numpy(), offsets.detach().numpy(), classes)
