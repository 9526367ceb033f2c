"""A classifier trained on real data, to say what generated samples show, and the scores that rest on it.

Durall et al. (VISAPP 2021, section 4.2): the conditional accuracy is the share of generated samples that a classifier
trained on real data puts into the class of the code they were made from. It cannot be better founded than the
classifier: its own accuracy on real test samples belongs beside it. The classifier is the network of
``rotation-prediction`` with as many outputs as classes.
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
from pretext.methods.rotation_prediction import block_stages
from pretext.networks.encoder_decoder import plan
from pretext.tasks.image_views import PictureViewsConfig, one_view
from pretext.training.trainer import seeded_generator
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

ROWS_AT_ONCE = 256
LEARNING_RATE = 1e-3


class ClassifierNetwork(nn.Module):
    """Logits (B, classes) of standardised maps (B, C, H, W)."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int) -> None:
        super().__init__()
        geometry = plan(shape, width)
        self.padding = geometry.padding
        self.stages = nn.Sequential(*block_stages(shape[0], width))
        side = [length * 2 ** len(geometry.widths) // 8 for length in geometry.side]  # after three halvings
        self.last = nn.Linear(8 * width * max(1, side[0]) * max(1, side[1]), classes)

    def activations(self, maps: Tensor) -> Tensor:
        """What the last layer sees, (B, 8 width, s, s)."""
        values: Tensor = self.stages(functional.pad(maps, self.padding))
        return values

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (B, classes)."""
        logits: Tensor = self.last(self.activations(maps).flatten(1))
        return logits


@dataclass(frozen=True)
class RealClassifier:
    """A trained classifier.

    Attributes
    ----------
    network : ClassifierNetwork
        Takes maps standardised as it was trained.
    test_accuracy : float
        Share of real test samples that it puts into their class.
    """

    network: ClassifierNetwork
    test_accuracy: float

    @torch.no_grad()
    def logits(self, maps: Tensor) -> Tensor:
        """Logits (N, classes) of standardised maps (N, C, H, W)."""
        return torch.cat([self.network(part) for part in maps.split(ROWS_AT_ONCE)])

    @torch.no_grad()
    def features(self, maps: Tensor) -> NDArray[np.float32]:
        """What the last layer sees, averaged over places, (N, D) float32, of standardised maps (N, C, H, W)."""
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
    views: PictureViewsConfig | None = None,
) -> RealClassifier:
    """Train a classifier on the training split and look once at the test split.

    Parameters
    ----------
    maps : MapFile
        With labels, a training and a test split.
    standardise : Standardiser
        Of the run whose samples shall be judged.
    epochs, width, seed, batch_size : int
        Of its training.
    label_noise : float
        Share of training labels replaced by others drawn at random (for extractors of known quality).
    views : PictureViewsConfig, optional
        It is shown new views of the pictures in each epoch, of the pictures' own size, and its learning rate falls to 0
        by half a cosine; by default it is shown the maps themselves, at one rate.

    Returns
    -------
    RealClassifier

    Raises
    ------
    UserError
        When a split is missing, labels are missing, there is but a single class, or views are asked for of maps that
        are no pictures, or in another size.
    """
    check_range("label_noise", label_noise, 0.0, 1.0)
    check_range("epochs", epochs, 0, 10_000)
    if views is not None:
        if maps.basis.kind != "pixels":
            raise UserError("views are of pictures", f"maps of kind {maps.basis.kind!r}", "leave the views out")
        if views.side:
            raise UserError("the classifier's views have the pictures' size", f"side = {views.side}", "set side=0")
    train, test = maps.rows("train"), maps.rows("test")
    if not len(train) or not len(test):
        raise UserError("a classifier needs a training and a test split", str(maps.path), "give another map file")
    labels = need_classes(maps.labels[train], len(maps.classes))
    noisy = torch.from_numpy(disturbed_labels(labels, len(maps.classes), label_noise, seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ClassifierNetwork(maps.basis.shape, len(maps.classes), width)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    steps = -(-len(train) // batch_size) * epochs
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps)) if views is not None else None
    for epoch in range(epochs):
        generator = seeded_generator(seed, "classifier", epoch)
        order = torch.randperm(len(train), generator=generator)
        for places in order.split(batch_size):
            shown = standardise(maps.read(train[places.numpy()]))
            shown = shown if views is None else one_view(shown, views, generator)
            loss = functional.cross_entropy(network(shown), noisy[places])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if falling is not None:
                falling.step()
    classifier = RealClassifier(network, 0.0)
    right = [
        (classifier.logits(standardise(maps.read(rows))).argmax(dim=1).numpy() == maps.labels[rows]).sum()
        for rows in np.array_split(test, max(1, len(test) // ROWS_AT_ONCE))
    ]
    return RealClassifier(network, float(np.sum(right) / len(test)))


def disturbed_labels(labels: NDArray[np.int64], classes: int, share: float, seed: int) -> NDArray[np.int64]:
    """Labels (N,) of which a share, drawn at random, is replaced by another class drawn at random."""
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.copy()
    noisy[chosen] = (labels[chosen] + generator.integers(1, max(2, classes), size=len(chosen))) % classes
    return noisy


def need_classes(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The labels. Raises a UserError when some are missing or all are the same."""
    if (labels < 0).any():
        raise UserError("samples without a label", f"{int((labels < 0).sum())} of {len(labels)}", "give labelled maps")
    if len(np.unique(labels)) < 2:
        raise UserError("a single class", f"{len(labels)} samples, {classes} class names", "give several classes")
    return labels


def conditional_accuracy(classifier: RealClassifier, samples: Tensor, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which samples (N, K, C, H, W) show the class (N,) of their code, by the classifier: (N, K) bool."""
    found = classifier.logits(samples.flatten(0, 1)).argmax(dim=1).numpy().reshape(samples.shape[:2])
    return np.asarray(found == labels[:, None])


def neighbour_conditional_accuracy(
    real: NDArray[Any], real_labels: NDArray[np.int64], samples: NDArray[Any], labels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which samples (N, ...) have as their nearest real map (M, ...), in L2, one of the class (N,) of their code."""
    import faiss

    index = faiss.IndexFlatL2(int(np.prod(real.shape[1:])))
    index.add(np.ascontiguousarray(real.reshape(len(real), -1), np.float32))
    _, nearest = index.search(np.ascontiguousarray(samples.reshape(len(samples), -1), np.float32), 1)
    return np.asarray(real_labels[nearest[:, 0]] == labels)


def class_score(logits: NDArray[Any]) -> float:
    """Exp of the mean divergence of p(class | sample) from p(class): of Inception's classes the Inception Score.

    Parameters
    ----------
    logits : ndarray, shape (N, K), floating
        Of a network that is named beside the score.

    Returns
    -------
    float
        From 1 (all samples alike, or undecided) to K (decided, and all classes alike often).

    Notes
    -----
    exp(1/N sum_n sum_k p_nk (log p_nk - log mean_n p_nk)), Salimans et al., NIPS 2016, section 4; over all samples at
    once, not as the mean over ten parts.
    """
    values = np.asarray(logits, np.float64)
    values = values - values.max(axis=1, keepdims=True)
    logs = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    shares = np.exp(logs)
    mean = shares.mean(axis=0)
    return float(np.exp((shares * (logs - np.log(np.maximum(mean, 1e-300)))).sum(axis=1).mean()))
