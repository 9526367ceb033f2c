"""Train a classifier on real data and score generated samples with it.

Durall et al. (VISAPP 2021, section 4.2) define the classifier accuracy of the samples ("conditional
accuracy"). It is the share of generated samples that a classifier trained on real data assigns to
the class of their code. The score is only as good as the classifier, so report the classifier's own
accuracy on real test samples with it. The classifier is the network of ``rotation-prediction`` with
one output for each class.

Letters in shapes: N conditions, K samples for each, B samples of a batch, C x H x W values of a
map.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from data_prep.maps.reader import MapFile
from pretext.data.standardise import Standardiser
from pretext.methods.rotation_prediction import build_block_stages
from pretext.networks.basic_layers import plan
from pretext.randomness import seeded_generator
from pretext.tasks.image_views import ImageViewsConfig, make_view
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

ROWS_AT_ONCE = 256
LEARNING_RATE = 1e-3


class ClassifierNetwork(nn.Module):
    """Convolutional classifier: standardised maps (B, C, H, W) to logits (B, classes)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        geometry = plan(shape, width)
        self.padding = geometry.padding
        self.stages = nn.Sequential(*build_block_stages(shape[0], width))
        side = [length * 2 ** len(geometry.widths) // 8 for length in geometry.side]  # after three blocks of stride 2
        self.last = nn.Linear(8 * width * max(1, side[0]) * max(1, side[1]), classes)

    def activations(self, maps: Tensor) -> Tensor:
        """Compute the input of the last layer, (B, 8 width, s, s), from maps (B, C, H, W)."""
        values: Tensor = self.stages(functional.pad(maps, self.padding))
        return values

    def forward(self, maps: Tensor) -> Tensor:
        """Compute logits (B, classes) from maps (B, C, H, W)."""
        logits: Tensor = self.last(self.activations(maps).flatten(1))
        return logits


@dataclass(frozen=True)
class SampleClassifier:
    """A classifier trained on real samples.

    Attributes
    ----------
    network : ClassifierNetwork
        Network for maps standardised as in its training.
    test_accuracy : float
        Share of real test samples that it assigns to their class.
    """

    network: ClassifierNetwork
    test_accuracy: float

    @torch.no_grad()
    def logits(self, maps: Tensor) -> Tensor:
        """Compute logits (N, classes) of standardised maps (N, C, H, W)."""
        return torch.cat([self.network(part) for part in maps.split(ROWS_AT_ONCE)])

    @torch.no_grad()
    def features(self, maps: Tensor) -> NDArray[np.float32]:
        """Compute features (N, 8 width), float32, of standardised maps (N, C, H, W).

        The features are the input of the last layer, averaged over all positions.
        """
        return torch.cat([self.network.activations(part).mean(dim=(2, 3)) for part in maps.split(ROWS_AT_ONCE)]).numpy()


def train_classifier(
    maps: MapFile,
    standardise: Standardiser,
    *,
    epochs: int = 2,
    width: int = 16,
    seed: int = 0,
    label_noise: float = 0.0,
    batch_size: int = 64,
    views: ImageViewsConfig | None = None,
) -> SampleClassifier:
    """Train a classifier on the training split and test it once on the test split.

    Parameters
    ----------
    maps : MapFile
        Labelled maps with a training and a test split.
    standardise : Standardiser
        Standardisation of the run whose samples will be scored.
    epochs : int
        Number of epochs.
    width : int
        Channels of the first stage of the network.
    seed : int
        Seed of the initial parameters, the order of the batches, the views and the label noise.
    label_noise : float
        Share of training labels to replace by random other labels, from 0 to 1. It makes
        classifiers of known quality.
    batch_size : int
        Maps of a batch.
    views : ImageViewsConfig, optional
        Augmentation for images. The classifier then sees a new view of each image in each epoch, in
        the size of the image, and the learning rate falls to 0 along half a cosine. By default it
        sees the maps themselves at a constant learning rate.

    Returns
    -------
    SampleClassifier
        Classifier with its accuracy on the test split.

    Raises
    ------
    UserError
        If a split or labels are missing, there is a single class, or views are requested for maps
        that are not images or in another size.

    Examples
    --------
    >>> from downstream.metrics import train_classifier
    >>> from pretext.data import Standardiser
    >>> classifier = train_classifier(maps, Standardiser.of(maps), epochs=1, width=4)
    >>> 0 <= classifier.test_accuracy <= 1
    True
    """
    check_range("label_noise", label_noise, 0.0, 1.0)
    check_range("epochs", epochs, 0, 10_000)
    if views is not None:
        if maps.basis.kind != "pixels":
            raise UserError("views are for images only", f"maps of kind {maps.basis.kind!r}", "leave the views out")
        if views.side:
            raise UserError("the classifier's views must have the images' size", f"side = {views.side}", "set side=0")
    train, test = maps.rows("train"), maps.rows("test")
    if not len(train) or not len(test):
        raise UserError("a classifier needs a training and a test split", str(maps.path), "give another map file")
    labels = require_classes(maps.labels[train], len(maps.classes))
    noisy = torch.from_numpy(add_label_noise(labels, len(maps.classes), label_noise, seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ClassifierNetwork(maps.basis.shape, len(maps.classes), width)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    steps = -(-len(train) // batch_size) * epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps)) if views is not None else None
    for epoch in range(epochs):
        generator = seeded_generator(seed, "classifier", epoch)
        order = torch.randperm(len(train), generator=generator)
        for positions in order.split(batch_size):
            batch = standardise(maps.read(train[positions.numpy()]))
            batch = batch if views is None else make_view(batch, views, generator)
            loss = functional.cross_entropy(network(batch), noisy[positions])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
    classifier = SampleClassifier(network, 0.0)
    correct = [
        (classifier.logits(standardise(maps.read(rows))).argmax(dim=1).numpy() == maps.labels[rows]).sum()
        for rows in np.array_split(test, max(1, len(test) // ROWS_AT_ONCE))
    ]
    return SampleClassifier(network, float(np.sum(correct) / len(test)))


def add_label_noise(labels: NDArray[np.int64], classes: int, share: float, seed: int) -> NDArray[np.int64]:
    """Replace a share of labels by random other classes.

    Parameters
    ----------
    labels : ndarray, shape (N,), int64
        Labels, not negative.
    classes : int
        Number of classes.
    share : float
        Share of labels to replace, from 0 to 1, rounded to whole samples.
    seed : int
        Seed of the random number generation.

    Returns
    -------
    ndarray, shape (N,), int64
        Labels, of which exactly ``round(share * N)`` differ from ``labels``.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import add_label_noise
    >>> labels = np.zeros(10, np.int64)
    >>> int((add_label_noise(labels, 3, 0.4, seed=0) != labels).sum())
    4
    """
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] = (labels[chosen] + generator.integers(1, max(2, classes), size=len(chosen))) % classes
    return noisy


def require_classes(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the labels; raise a UserError if some are missing or all are the same."""
    if (labels < 0).any():
        raise UserError("samples without a label", f"{int((labels < 0).sum())} of {len(labels)}", "give labelled maps")
    if len(np.unique(labels)) < 2:
        raise UserError("a single class", f"{len(labels)} samples, {classes} class names", "give several classes")
    return labels


def match_classes(classifier: SampleClassifier, samples: Tensor, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which samples the classifier assigns to the class of their code.

    Parameters
    ----------
    classifier : SampleClassifier
        Classifier trained on real samples.
    samples : Tensor, shape (N, K, C, H, W), floating
        K generated samples for each of N codes, standardised as in the classifier's training.
    labels : ndarray, shape (N,), int64
        Class of each code.

    Returns
    -------
    ndarray, shape (N, K), bool
        Its mean is the classifier accuracy of the samples, from 0 to 1. With one sample for each of N
        independent codes, ``downstream.probes.intervals.compute_accuracy_interval`` is its interval.

    Notes
    -----
    Source: Durall et al., VISAPP 2021, section 4.2 ("conditional accuracy").

    Examples
    --------
    >>> from downstream.metrics import match_classes, train_classifier
    >>> from pretext.data import Standardiser
    >>> standardise, rows = Standardiser.of(maps), maps.rows("test")
    >>> classifier = train_classifier(maps, standardise, epochs=1, width=4)
    >>> real = standardise(maps.read(rows))[:, None]  # one "sample" for each code: the real map
    >>> matches = match_classes(classifier, real, maps.labels[rows])
    >>> float(matches.mean()) == classifier.test_accuracy
    True
    """
    predicted = classifier.logits(samples.flatten(0, 1)).argmax(dim=1).numpy().reshape(samples.shape[:2])
    return np.asarray(predicted == labels[:, None])


def match_classes_by_neighbour(
    real: NDArray[Any], real_labels: NDArray[np.int64], samples: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell for which samples the nearest real map has the class of the code.

    Parameters
    ----------
    real : ndarray, shape (M, ...), floating
        Real maps.
    real_labels : ndarray, shape (M,), int64
        Class of each real map.
    samples : ndarray, shape (N, ...), floating
        Generated samples, standardised like the real maps.
    labels : ndarray, shape (N,), int64
        Class of each sample's code.

    Returns
    -------
    ndarray, shape (N,), bool
        True where the nearest real map in L2 has the class of the code. The search is exact up to
        the rounding of float32.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import match_classes_by_neighbour
    >>> real, samples = np.array([[0.0], [1.0]]), np.array([[0.1], [0.8], [0.9]])
    >>> match_classes_by_neighbour(real, np.array([0, 1]), samples, np.array([0, 1, 0])).tolist()
    [True, True, False]
    """
    import faiss

    index = faiss.IndexFlatL2(int(np.prod(real.shape[1:])))
    index.add(np.ascontiguousarray(real.reshape(len(real), -1), np.float32))
    _, nearest = index.search(np.ascontiguousarray(samples.reshape(len(samples), -1), np.float32), 1)
    return np.asarray(real_labels[nearest[:, 0]] == labels)


def compute_class_score(logits: NDArray[Any]) -> float:
    """Compute how sure a classifier is of each sample and how diverse the classes are.

    With the classes of the Inception network this is the Inception Score.

    Parameters
    ----------
    logits : ndarray, shape (N, K), floating
        Logits of a classifier with K classes for N samples. Report the classifier with the score.

    Returns
    -------
    float
        Score from 1 to K. It is 1 if all samples have the same class probabilities. It is K if
        every sample has one certain class and all classes are equally frequent.

    Notes
    -----
    exp(1/N sum_n sum_k p_nk (log p_nk - log mean_n p_nk)), where p is the softmax of the logits.
    Source: T. Salimans et al., *Improved Techniques for Training GANs*, NIPS 2016, section 4. The
    mean goes over all samples at once, not over ten parts. All values are computed in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import compute_class_score
    >>> round(compute_class_score(np.zeros((4, 3))), 6), round(compute_class_score(100 * np.eye(3)), 6)
    (1.0, 3.0)
    """
    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=1, keepdims=True)
    logs = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    shares = np.exp(logs)
    mean = shares.mean(axis=0)
    return float(np.exp((shares * (logs - np.log(np.maximum(mean, 1e-300)))).sum(axis=1).mean()))
