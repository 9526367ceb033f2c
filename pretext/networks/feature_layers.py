"""The layers of an encoder as features, by name.

An encoder gives its activations by name: (B, F) of a layer, (B, F, S, S) or (B, F, S, S, S) of a convolution. Each of
the latter is three kinds of features: ``NAME``, averaged over all places; ``NAME-parts``, averaged over 2 x 2 (x 2)
parts of the map, which keeps a coarse sense of place; ``NAME-flat``, every value. Several are joined by ``+``:
``stage2-parts+code``.

Letters in shapes: B batch, F channels, S side lengths, D features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.ground.errors import UserError, unknown_name

DEFAULT = "default"  # what ``encode`` gives
PARTS = 2
PARTS_NAME, FLAT_NAME = "-parts", "-flat"


def pooled(activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All kinds of features (B, D) that there are of an encoder's activations, in the encoder's order."""
    found: dict[str, Tensor] = {}
    for name, activation in activations.items():
        if activation.dim() == 2:
            found[name] = activation
            continue
        places = tuple(range(2, activation.dim()))
        found[name] = activation.mean(dim=places)
        if min(activation.shape[2:]) > 1:
            average = functional.adaptive_avg_pool2d if len(places) == 2 else functional.adaptive_avg_pool3d
            found[name + PARTS_NAME] = average(activation, PARTS).flatten(1)
            found[name + FLAT_NAME] = activation.flatten(1)
    return found


def chosen(features: Mapping[str, Tensor], layer: str) -> Tensor:
    """The features (B, D) of a layer, or of several joined by ``+``.

    Raises
    ------
    UserError
        When there is no such layer.
    """
    names = [name.strip() for name in layer.split("+")]
    for name in names:
        if name not in features:
            raise unknown_name("layer", name, list(features))
    if len(set(names)) < len(names):
        raise UserError("a layer twice", layer, "name each once")
    return torch.cat([features[name] for name in names], dim=1)


def pooling_in_words(layer: str) -> str:
    """How the features of a layer come from its activations, for a feature file."""
    words = []
    for name in layer.split("+"):
        kinds = {PARTS_NAME: "averages over 2 parts along each axis", FLAT_NAME: "none (flattened)"}
        found = next((text for ending, text in kinds.items() if name.endswith(ending)), "average over all places")
        words.append("the method's own" if name == DEFAULT else found)
    return "; ".join(words)
