"""The layers of an encoder as features, by name.

An encoder gives its activations by name: (B, F) of a linear layer, (B, F, S, S) or (B, F, S, S, S)
of a convolution. Each activation of a convolution gives three kinds of features:

* ``NAME``, averaged over all positions;
* ``NAME-parts``, averaged over 2 x 2 (x 2) parts of the map, which keeps a coarse sense of
  position;
* ``NAME-flat``, all values.

Names are joined by ``+``: ``stage2-parts+code``.

Letters in shapes: B batch, F channels, S side lengths, D features.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from spectral_ssl.ground.errors import UserError, unknown_name

DEFAULT = "default"  # the features that ``encode`` returns
PARTS = 2
PARTS_NAME, FLAT_NAME = "-parts", "-flat"


def pool_activations(activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Compute all kinds of features of an encoder's activations.

    Parameters
    ----------
    activations : mapping of str to Tensor, shape (B, F), (B, F, S, S) or (B, F, S, S, S)
        The encoder's layers by name.

    Returns
    -------
    dict of str to Tensor, shape (B, D)
        Features by name, in the encoder's order.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import pool_activations
    >>> features = pool_activations({"stage1": torch.zeros(2, 8, 4, 4), "code": torch.zeros(2, 16)})
    >>> {name: values.shape[1] for name, values in features.items()}
    {'stage1': 8, 'stage1-parts': 32, 'stage1-flat': 128, 'code': 16}
    """
    features: dict[str, Tensor] = {}
    for name, activation in activations.items():
        if activation.dim() == 2:
            features[name] = activation
            continue
        axes = tuple(range(2, activation.dim()))
        features[name] = activation.mean(dim=axes)
        if min(activation.shape[2:]) > 1:
            average = functional.adaptive_avg_pool2d if len(axes) == 2 else functional.adaptive_avg_pool3d
            features[name + PARTS_NAME] = average(activation, PARTS).flatten(1)
            features[name + FLAT_NAME] = activation.flatten(1)
    return features


def select_layer(features: Mapping[str, Tensor], layer: str) -> Tensor:
    """Return the features of a layer, or of several joined by ``+``.

    Parameters
    ----------
    features : mapping of str to Tensor, shape (B, D)
        Features of all layers by name (``pool_activations``).
    layer : str
        A name, or names joined by ``+``.

    Returns
    -------
    Tensor, shape (B, D)
        The features of the layers, side by side.

    Raises
    ------
    UserError
        If there is no such layer, or a layer is named twice.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import pool_activations, select_layer
    >>> features = pool_activations({"stage1": torch.zeros(2, 8, 4, 4), "code": torch.zeros(2, 16)})
    >>> select_layer(features, "stage1+code").shape
    torch.Size([2, 24])
    """
    names = [name.strip() for name in layer.split("+")]
    for name in names:
        if name not in features:
            raise unknown_name("layer", name, list(features))
    if len(set(names)) < len(names):
        raise UserError("a layer is named twice", layer, "name each layer once")
    return torch.cat([features[name] for name in names], dim=1)


def describe_pooling(layer: str) -> str:
    """Describe how the features of a layer come from its activations, for a feature file."""
    words = []
    for name in layer.split("+"):
        kinds = {PARTS_NAME: "averages over 2 parts along each axis", FLAT_NAME: "none (flattened)"}
        pooling = next((text for ending, text in kinds.items() if name.endswith(ending)), "average over all places")
        words.append("the method's own" if name == DEFAULT else pooling)
    return "; ".join(words)
