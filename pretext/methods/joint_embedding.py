"""Joint embedding: two views of one object get the same features, and the features must not collapse.

Source: Bardes, Ponce and LeCun, "VICReg: variance-invariance-covariance regularization for
self-supervised learning" (ICLR 2022). An encoder f gives features, and a projector g gives
embeddings. For pairs of views x and x', the loss is VICReg's on Z = g(f(x)) and Z' = g(f(x'))::

    loss = lambda s(Z, Z') + mu (v(Z) + v(Z')) / 2 + nu (c(Z) + c(Z'))

``pretext.losses.vicreg`` defines the invariance s, the variance v and the covariance c.

The views are a task's condition and target: two altered copies of an object (``views``), or a
damaged and a clean map (``denoise``). The projector is used in training only; features come from
the encoder. There is no generator, so nothing can be completed.

Letters in shapes: B batch, C, H, W of the maps, D features, E dimensions of the embeddings.
"""

from dataclasses import dataclass, field
from functools import cached_property

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
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import busy


@dataclass(frozen=True, kw_only=True)
class EmbeddingNetworksConfig:
    """Settings of the encoder and of the projector.

    Attributes
    ----------
    encoder : {"auto", "grid", "pooled-grid", "perceptron", "pictures"}
        "grid" is a 3D convolution over the density on a grid, "pooled-grid" a deeper one with fewer
        parameters, whose code reads pooled channels. "perceptron" is a perceptron on the
        coefficients, "pictures" a 2D convolution. "auto" takes "grid" for Zernike moments,
        "perceptron" for other coefficients, and "pictures" for images.
    width : int
        Number of channels of the first convolution. The perceptron's layers have 16 times as many
        units.
    code : int
        Number of features of the last layer before the projector.
    highest_order : int
        Highest order n of the coefficients that the encoder reads; 0 for all.
    grid : int
        Number of cells on a side of the grid.
    filters : int
        Number of patch filters of the image encoder; 0 for none. k-means learns them before
        training.
    blocks : int
        Number of residual blocks in the second and in the third stage of the image encoder.
    mirrored : bool
        Whether features of images are means over an image and its mirror image (left to right). Wrong
        for letters and digits.
    projector : int
        Number E of dimensions of the embeddings and of the projector's two hidden layers.
    """

    encoder: EncoderName = "auto"
    width: int = field(default=32, metadata=within(1, 4096))
    code: int = field(default=512, metadata=within(1, 65536))
    highest_order: int = field(default=0, metadata=within(0, 100))
    grid: int = field(default=20, metadata=within(4, 64))
    filters: int = field(default=0, metadata=within(0, 100_000))
    blocks: int = field(default=0, metadata=within(0, 100))
    mirrored: bool = False
    projector: int = field(default=1024, metadata=within(1, 65536))

    def __post_init__(self) -> None:
        check_ranges(self, "method.networks")


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptimisationConfig:
    """Settings of the optimiser AdamW.

    Attributes
    ----------
    learning_rate : float
        Highest learning rate.
    weight_decay : float
        Weight decay.
    warm_up : int
        Number of steps in which the learning rate rises.
    cosine_steps : int
        Number of steps after which the learning rate has fallen to a hundredth, along a cosine; 0
        for the whole training.
    """

    learning_rate: float = field(default=2e-3, metadata=within(0.0, 10.0))
    weight_decay: float = field(default=1e-3, metadata=within(0.0, 10.0))
    warm_up: int = field(default=30, metadata=within(0, 1_000_000_000))
    cosine_steps: int = field(default=0, metadata=within(0, 1_000_000_000))

    def __post_init__(self) -> None:
        check_ranges(self, "method.optimisation")


@dataclass(frozen=True, kw_only=True)
class JointEmbeddingConfig:
    """Settings of the joint embedding.

    Attributes
    ----------
    invariance, variance, covariance : float
        Weights lambda, mu and nu of VICReg's three terms.
    networks : EmbeddingNetworksConfig
        Encoder and projector.
    optimisation : EmbeddingOptimisationConfig
        Optimiser and learning rate.
    """

    invariance: float = field(default=25.0, metadata=within(0.0, 1e6))
    variance: float = field(default=25.0, metadata=within(0.0, 1e6))
    covariance: float = field(default=1.0, metadata=within(0.0, 1e6))
    networks: EmbeddingNetworksConfig = EmbeddingNetworksConfig()
    optimisation: EmbeddingOptimisationConfig = EmbeddingOptimisationConfig()

    def __post_init__(self) -> None:
        check_ranges(self, "method")


class JointEmbedding(MethodDefaults, nn.Module):
    """The encoder and the projector with their optimiser.

    Parameters
    ----------
    config : JointEmbeddingConfig
        The settings of the method.
    problem : Problem
        The shapes of the two views, which must be equal, and the statistics of the data.

    Raises
    ------
    UserError
        If condition and target differ in shape, or if the encoder does not fit the data.
    """

    has_completions = False
    needs_whole_batches = True  # variances and covariances are taken over the whole batch
    training_parts = ("projector",)
    steps_done: Tensor

    def __init__(self, config: JointEmbeddingConfig, problem: Problem) -> None:
        super().__init__()
        if problem.condition != problem.target:
            got = f"condition {problem.condition}, target {problem.target}"
            raise UserError("a joint embedding needs two views of one shape", got, "take the task views")
        self.config = config
        networks = config.networks
        self.encoder = build_encoder(
            networks.encoder,
            problem,
            highest_order=networks.highest_order,
            grid=networks.grid,
            width=networks.width,
            code=networks.code,
            filters=networks.filters,
            blocks=networks.blocks,
            mirrored=networks.mirrored,
        )
        self.projector = build_projector(networks.code, networks.projector)
        # The learning rate depends on this count, so it is saved in checkpoints.
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Build the optimiser at its first use: it needs more than a second to import, and features do without it."""
        settings = self.config.optimisation
        rate, decay = settings.learning_rate, settings.weight_decay
        return {"main": torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=decay, fused=True)}

    def learn_before_training(self, maps: Tensor, generator: torch.Generator) -> None:
        """Learn the patch filters of the image encoder from clean images (N, C, H, W)."""
        if isinstance(self.encoder, ImageEncoder) and self.encoder.patches is not None:
            with busy("learning patch filters"):
                self.encoder.patches.learn(maps, generator)

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step encoder and projector once on a batch of pairs.

        Parameters
        ----------
        example : Example
            The two views, each (B, C, H, W). A batch of one pair has no variance and trains
            nothing.
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss``, and its terms ``invariance``, ``variance`` and ``covariance`` without weights.
        """
        names = ("loss", "invariance", "variance", "covariance")
        done = int(self.steps_done)
        self.steps_done += 1
        if count_batch_rows(len(example.condition), generator) < 2:
            return dict.fromkeys(names, 0.0)
        # Both views are one batch, because the projector normalises each by the statistics of both.
        embeddings = self.projector(self.encoder(torch.cat([example.condition, example.target])))  # (2 B, E)
        first, second = yield Gather(tuple(to_full_precision(embeddings).chunk(2)))
        invariance, variance, covariance = vicreg_terms(first, second)
        config, schedule = self.config, self.config.optimisation
        loss = config.invariance * invariance + config.variance * variance + config.covariance * covariance
        optimizer = self.optimizers["main"]
        rate = schedule.learning_rate * rate_at(done, schedule.warm_up, schedule.cosine_steps or self.total_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        yield OptimisationStep(optimizer, loss, of_all=True)
        values = (loss.item(), invariance.item(), variance.item(), covariance.item())
        return dict(zip(names, values, strict=True))


def build_projector(features: int, width: int) -> nn.Sequential:
    """Build three layers (B, D) -> (B, E), the first two with batch normalisation (source, section 4.2)."""
    return nn.Sequential(
        nn.Linear(features, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width, bias=False),
    )
