"""Fine-tune a network with labels, as an upper reference for frozen features.

A copy of the encoder and a linear layer on its features are trained with Adam on the labels of the
training split. Started from the parameters of the run, it shows how much can be gained beyond the
linear probe. Started from random parameters, it is the same network trained with labels only. The
learning rate and the number of epochs are chosen on a held-out part of the training split.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_prep.maps.reader import MapFile
from downstream.features.standardise import get_rounding_error
from downstream.probes.cross_validation import check_training_split
from pretext.data.batch import Batch
from pretext.runs.trained_run import ROWS_AT_ONCE, TrainedRun
from spectral_ssl.ground.errors import UserError

RATES = (1e-4, 1e-3)  # Learning rates of the network.
EPOCHS = (5, 10, 20)
RATE_OF_LAYER = 1e-3  # The linear layer starts from zero, so it needs a larger rate.
BATCH = 64
HELD_OUT = 0.2

RowPredictor = Callable[[NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True)
class FineTunedNetwork:
    """A network trained with labels.

    Attributes
    ----------
    predict : callable
        Function of rows (T,) of the map file that returns labels (T,).
    learning_rate : float
        Chosen learning rate of the network.
    epochs : int
        Chosen number of epochs.
    held_out : float
        Accuracy of this choice on the held-out part of the training split.
    """

    predict: RowPredictor
    learning_rate: float
    epochs: int
    held_out: float


def fine_tune(
    run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], seed: int
) -> FineTunedNetwork:
    """Choose learning rate and number of epochs on a part of the training split, then train on all of it.

    Parameters
    ----------
    run : TrainedRun
        Run with the initial network, which is not changed. The linear layer reads its features at
        ``run.layer``. If the features come from several views of a map, the first view is used.
    maps : MapFile
        Maps with the basis of the run. The training split is held in memory.
    train, labels : ndarray, shape (N,), int64
        Rows of the training split and their labels.
    seed : int
        Seed of the held-out part and of the order of the batches.

    Returns
    -------
    FineTunedNetwork
        Trained network with the choice.

    Raises
    ------
    UserError
        If there are fewer than two classes, or a class has too few samples to hold some out.
    """
    from sklearn.model_selection import train_test_split

    check_training_split(np.zeros((len(labels), 1), np.float32), labels)
    try:
        fitted, held_out = train_test_split(
            np.arange(len(train)), test_size=HELD_OUT, random_state=seed, stratify=labels
        )
    except ValueError as error:
        raise UserError("too few labels to fine-tune", f"{len(train)} in the training split", "give more") from error
    scores: dict[tuple[float, int], float] = {}
    for rate in RATES:
        predictors = _train_epochs(run, maps, train[fitted], labels[fitted], rate, seed)
        for epoch, predict in enumerate(islice(predictors, max(EPOCHS)), 1):
            if epoch in EPOCHS:
                scores[rate, epoch] = float((predict(train[held_out]) == labels[held_out]).mean())
    rate, epochs = max(scores, key=lambda choice: scores[choice])  # Among equals the first: slower and shorter.
    *_, final = islice(_train_epochs(run, maps, train, labels, rate, seed), epochs)
    return FineTunedNetwork(final, rate, epochs, scores[rate, epochs])


def _train_epochs(
    run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], rate: float, seed: int
) -> Iterator[RowPredictor]:
    """Train a copy of the network, and yield a predictor after each epoch.

    All predictors use the same network, so each is valid only until the next epoch.
    """
    classes, targets = np.unique(labels, return_inverse=True)
    target_classes = torch.from_numpy(targets.astype(np.int64))
    tuned = replace(run, method=copy.deepcopy(run.method))
    conditions = _read_conditions(tuned, maps, train)
    with torch.no_grad():
        frozen = torch.cat([tuned.features(part) for part in conditions.split(ROWS_AT_ONCE)])
    # The linear layer reads features with the scale of standardised frozen features.
    mean, std = frozen.mean(dim=0), frozen.std(dim=0)
    rounding = get_rounding_error(frozen.numpy()) * frozen.abs().amax(dim=0)
    std = torch.where(std > rounding.clamp(min=1e-6), std, 1.0)
    layer = nn.utils.skip_init(nn.Linear, len(mean), len(classes))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    network = [parameter for parameter in tuned.method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(
        [{"params": network, "lr": rate}, {"params": list(layer.parameters()), "lr": RATE_OF_LAYER}], fused=True
    )

    def compute_logits(part: Tensor) -> Tensor:
        logits: Tensor = layer((tuned.features(part) - mean) / std)
        return logits

    @torch.no_grad()
    def predict(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        blocks = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
        best = torch.cat([compute_logits(_read_conditions(tuned, maps, block)).argmax(dim=1) for block in blocks])
        predicted: NDArray[np.int64] = classes[best.numpy()]
        return predicted

    generator = torch.Generator().manual_seed(seed)
    while True:
        for positions in torch.randperm(len(train), generator=generator).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(compute_logits(conditions[positions]), target_classes[positions]).backward()
            optimizer.step()
        yield predict


def _read_conditions(run: TrainedRun, maps: MapFile, rows: NDArray[np.int64]) -> Tensor:
    """Read maps and return the conditions (N, C, H, W) of the network."""
    return run.plan.view(Batch(run.standardise(maps.read(rows)), run.standardise))
