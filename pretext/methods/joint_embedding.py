"""Joint embedding: two views of one object shall have the same features, and the features shall not collapse (VICReg).

Source: Bardes, Ponce and LeCun, "VICReg: variance-invariance-covariance regularization for self-supervised learning"
(ICLR 2022). An encoder f gives features, a projector g embeddings; with Z = g(f(x)), Z' = g(f(x')) for n pairs of
views, each (n, d), the loss is::

    invariance   s(Z, Z') = 1/n sum_i |z_i - z'_i|^2 / d
    variance     v(Z) = 1/d sum_j max(0, 1 - sqrt(Var(z^j) + 1e-4))          Var with n - 1
    covariance   c(Z) = 1/d sum_{i != j} Cov(Z)_ij^2                         Cov with n - 1
    loss         lambda s(Z, Z') + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z'))

The paper's formula divides s by n alone and adds the two v; its own code takes the mean over n and d and half the sum
of the v, and the paper's weights 25, 25, 1 are those of the code. Here as in the code.

The views are a task's condition and target: of ``views`` two altered copies of an object, of ``denoise`` the damaged
map and the clean one. The projector serves training alone; ``encode`` gives what the encoder has. There is no
generator, so nothing can be completed.

Letters in shapes: B batch, C, H, W of the maps, D features, E dimensions of the embeddings.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.vicreg import vicreg_terms
from pretext.method import MethodDefaults
from pretext.networks.choose_encoder import EncoderName, build_encoder
from pretext.networks.image_encoder import ImageEncoder
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep, OptimisationSteps, rate_at
from pretext.randomness import count_batch_rows
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class JointEmbeddingConfig:
    """Settings of the method.

    Attributes
    ----------
    encoder : {"auto", "grid", "perceptron", "pictures"}
        The network: a 3D convolution over the density on a grid, a perceptron on the coefficients, a 2D convolution.
        "auto" takes the grid for Zernike moments, the perceptron for other coefficients, "pictures" for images.
    width : int
        Channels of the first convolution; the perceptron's layers have 16 times as many units.
    code : int
        Features of the last layer before the projector.
    highest_order : int
        Highest order n of the coefficients that are read; 0 for all.
    grid : int
        Cells on a side of the grid.
    filters : int
        Patch filters of the encoder of pictures, learnt by k-means before training; 0 for none.
    projector : int
        Dimensions E of the embeddings and of the projector's two hidden layers.
    invariance, variance, covariance : float
        lambda, mu and nu.
    learning_rate, weight_decay : float
        Of AdamW; the rate is the highest it comes to.
    warm_up, cosine_steps : int
        Steps in which the rate rises, and steps after which it has fallen to a hundredth (a cosine in between); 0 for
        the whole training, epochs times steps an epoch.
    """

    encoder: EncoderName = "auto"
    width: int = 32
    code: int = 512
    highest_order: int = 0
    grid: int = 20
    filters: int = 0
    projector: int = 1024
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    warm_up: int = 30
    cosine_steps: int = 0

    def __post_init__(self) -> None:
        check_range("method.width", self.width, 1, 4096)
        check_range("method.code", self.code, 1, 65536)
        check_range("method.highest_order", self.highest_order, 0, 100)
        check_range("method.grid", self.grid, 4, 64)
        check_range("method.filters", self.filters, 0, 100_000)
        check_range("method.projector", self.projector, 1, 65536)
        check_range("method.invariance", self.invariance, 0.0, 1e6)
        check_range("method.variance", self.variance, 0.0, 1e6)
        check_range("method.covariance", self.covariance, 0.0, 1e6)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.weight_decay", self.weight_decay, 0.0, 10.0)
        check_range("method.warm_up", self.warm_up, 0, 1_000_000_000)
        check_range("method.cosine_steps", self.cosine_steps, 0, 1_000_000_000)


class JointEmbedding(MethodDefaults, nn.Module):
    """Encoder and projector with their optimiser.

    Parameters
    ----------
    config : JointEmbeddingConfig
        Settings.
    problem : Problem
        Shapes of the two views, which must be the same, and the statistics of the data.

    Raises
    ------
    UserError
        When condition and target differ in shape, or the encoder does not suit the data.
    """

    has_completions = False
    needs_whole_batches = True  # variances and covariances are of all of it
    steps_done: Tensor

    def __init__(self, config: JointEmbeddingConfig, problem: Problem) -> None:
        super().__init__()
        if problem.condition != problem.target:
            got = f"condition {problem.condition}, target {problem.target}"
            raise UserError("a joint embedding needs two views of one shape", got, "take the task views")
        self.config = config
        self.encoder = build_encoder(
            config.encoder,
            problem,
            highest_order=config.highest_order,
            grid=config.grid,
            width=config.width,
            code=config.code,
            filters=config.filters,
        )
        self.projector = projector(config.code, config.projector)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # the learning rate depends on it
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.AdamW(
                self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
            )
        }

    def learn_before_training(self, maps: Tensor, generator: torch.Generator) -> None:
        """Learn what is learnt before training: the patch filters, from clean pictures (N, C, H, W)."""
        if isinstance(self.encoder, ImageEncoder) and self.encoder.patches is not None:
            self.encoder.patches.learn(maps, generator)

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step encoder and projector once on a batch of pairs; nothing is drawn.

        Parameters
        ----------
        example : Example
            The two views, each (B, C, H, W). A batch of one pair has no variance: nothing is learnt from it.
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss``, and its parts ``invariance``, ``variance`` and ``covariance`` without their weights.
        """
        names = ("loss", "invariance", "variance", "covariance")
        done = int(self.steps_done)
        self.steps_done += 1
        if count_batch_rows(len(example.condition), generator) < 2:
            return dict.fromkeys(names, 0.0)
        # one pass: the projector normalises each view by the statistics of both
        embeddings = self.projector(self.encoder(torch.cat([example.condition, example.target])))  # (2 B, E)
        first, second = yield Gather(tuple(to_full_precision(embeddings).chunk(2)))
        invariance, variance, covariance = vicreg_terms(first, second)
        config = self.config
        loss = config.invariance * invariance + config.variance * variance + config.covariance * covariance
        optimizer = self.optimizers["main"]
        rate = config.learning_rate * rate_at(done, config.warm_up, config.cosine_steps or self.total_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        yield OptimisationStep(optimizer, loss, of_all=True)
        values = (loss.item(), invariance.item(), variance.item(), covariance.item())
        return dict(zip(names, values, strict=True))


def projector(features: int, width: int) -> nn.Sequential:
    """Three layers, the first two with batch normalisation, (B, D) -> (B, E) (source, section 4.2)."""
    return nn.Sequential(
        nn.Linear(features, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )
