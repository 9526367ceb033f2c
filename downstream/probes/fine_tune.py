"""Fine-tuning: the network trained on with labels, an upper reference to what frozen features are worth.

A copy of the encoder and a linear layer on its features, both trained with Adam on the training split's labels. Started
from the run's parameters it says what there is to gain beyond the linear probe; started from freshly drawn ones it is
the same network trained with labels alone. How long and how fast is chosen on a part of the training split.
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
from downstream.probes.cross_validation import check_training_split
from pretext.data.batch import Batch
from pretext.runs.trained_run import ROWS_AT_ONCE, TrainedRun
from spectral_ssl.ground.errors import UserError

RATES = (1e-4, 1e-3)  # of the network
EPOCHS = (5, 10, 20)
RATE_OF_LAYER = 1e-3  # it begins at zero and has the longer way
BATCH = 64
HELD_OUT = 0.2

RowPredictor = Callable[[NDArray[np.int64]], NDArray[np.int64]]


@dataclass(frozen=True)
class FineTunedNetwork:
    """A network trained with labels, ready to be scored.

    Attributes
    ----------
    predict : callable
        Rows (T,) of the map file to labels (T,).
    learning_rate : float
    epochs : int
        As chosen.
    held_out : float
        Accuracy of that choice on the inner part of the training split that was held out.
    """

    predict: RowPredictor
    learning_rate: float
    epochs: int
    held_out: float


def fine_tune(
    run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], seed: int
) -> FineTunedNetwork:
    """Choose rate and number of epochs on a part of the training split, then train on all of it.

    Parameters
    ----------
    run : TrainedRun
        Where the network starts; its features at ``run.layer`` are what the linear layer reads (where features are
        taken from several looks at a map, those of the first). It is left as it is.
    maps : MapFile
        Of the run's basis; the training split is held in memory.
    train, labels : ndarray, shape (N,), int64
        Rows of the training split and their labels.
    seed : int
        Draws the part held out and the order of the batches.

    Returns
    -------
    FineTunedNetwork

    Raises
    ------
    UserError
        When there are fewer than two classes, or too few samples of one to hold some out.
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
        trained = _epochs(run, maps, train[fitted], labels[fitted], rate, seed)
        for epoch, predict in enumerate(islice(trained, max(EPOCHS)), 1):
            if epoch in EPOCHS:
                scores[rate, epoch] = float((predict(train[held_out]) == labels[held_out]).mean())
    rate, epochs = max(scores, key=lambda choice: scores[choice])  # of equals the first: slower and shorter
    *_, final = islice(_epochs(run, maps, train, labels, rate, seed), epochs)
    return FineTunedNetwork(final, rate, epochs, scores[rate, epochs])


def _epochs(
    run: TrainedRun, maps: MapFile, train: NDArray[np.int64], labels: NDArray[np.int64], rate: float, seed: int
) -> Iterator[RowPredictor]:
    """Train a copy; after each epoch give what predicts with it as it is then (and goes on with the next)."""
    classes, targets = np.unique(labels, return_inverse=True)
    wanted = torch.from_numpy(targets.astype(np.int64))
    own = replace(run, method=copy.deepcopy(run.method))
    conditions = _conditions(own, maps, train)
    with torch.no_grad():
        before = torch.cat([own.features(part) for part in conditions.split(ROWS_AT_ONCE)])
    # the linear layer reads features of the size that the frozen ones have after standardisation
    mean, std = before.mean(dim=0), before.std(dim=0)
    std = torch.where(std > 1e-6, std, 1.0)
    layer = nn.utils.skip_init(nn.Linear, len(mean), len(classes))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    network = [parameter for parameter in own.method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(
        [{"params": network, "lr": rate}, {"params": list(layer.parameters()), "lr": RATE_OF_LAYER}], fused=True
    )

    def logits(part: Tensor) -> Tensor:
        found: Tensor = layer((own.features(part) - mean) / std)
        return found

    @torch.no_grad()
    def predict(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        blocks = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
        best = torch.cat([logits(_conditions(own, maps, block)).argmax(dim=1) for block in blocks])
        found: NDArray[np.int64] = classes[best.numpy()]
        return found

    generator = torch.Generator().manual_seed(seed)
    while True:
        for places in torch.randperm(len(train), generator=generator).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(logits(conditions[places]), wanted[places]).backward()
            optimizer.step()
        yield predict


def _conditions(run: TrainedRun, maps: MapFile, rows: NDArray[np.int64]) -> Tensor:
    return run.plan.view(Batch(run.standardise(maps.read(rows)), run.standardise))
