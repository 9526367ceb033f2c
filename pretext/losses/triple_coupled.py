"""The triple coupled loss: a discriminator of pairs of images learns which two belong together.

Source: Durall et al., *Latent Space Conditioning on Generative Adversarial Networks*, VISAPP 2021,
algorithm 2. D sees a real image x with a second image, side by side in channels, and never the code
f of x. There are three kinds of pairs, ``nearest`` and ``farthest`` being the neighbours of x in
the space of codes::

    adv  = log(1 - D([x, G(z, f)]))         x and an image generated from its code f
    same = log D([x, nearest(x)])
    diff = log(1 - D([x, farthest(x)]))

D ascends a adv + s same + d diff. The printed algorithm has a plus before D's and before G's
gradient; only D's is an ascent here. G's loss is ``pretext.losses.adversarial.generator_loss`` of
the logits of the pairs [x, G(z, f)]. The paper gives no weights a, s, d.

``pretext.neighbours.exact.find_batch_neighbours`` finds the neighbours in a batch.
"""

from torch import Tensor
from torch.nn import functional

from pretext.numerics import to_full_precision


def triple_coupled_loss(
    adversarial: Tensor,
    same: Tensor,
    different: Tensor,
    *,
    adversarial_weight: float = 1.0,
    same_weight: float = 1.0,
    different_weight: float = 1.0,
) -> Tensor:
    """Compute the loss that D minimises: -(a adv + s same + d diff).

    Parameters
    ----------
    adversarial : Tensor, shape (B,), floating
        D's logits of pairs of a real and a generated image.
    same : Tensor, shape (B,), floating
        D's logits of pairs of a real image and its nearest neighbour.
    different : Tensor, shape (B,), floating
        D's logits of pairs of a real image and its farthest neighbour.
    adversarial_weight, same_weight, different_weight : float
        The weights a, s and d.

    Returns
    -------
    Tensor, a scalar
        At least 0; (a + s + d) log 2 if all logits are 0.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import triple_coupled_loss
    >>> undecided, sure = torch.zeros(8), torch.full((8,), 20.0)
    >>> triple_coupled_loss(undecided, undecided, undecided)
    tensor(2.0794)
    >>> triple_coupled_loss(-sure, sure, -sure) < 1e-8
    tensor(True)
    """
    return (
        adversarial_weight * functional.softplus(to_full_precision(adversarial)).mean()  # - log(1 - D)
        + same_weight * functional.softplus(-to_full_precision(same)).mean()  # - log D
        + different_weight * functional.softplus(to_full_precision(different)).mean()
    )
