"""Settings of the latent-space-conditioned GAN, in groups.

G is the generator and D the discriminator; ``pretext.methods.lsc_gan.model`` explains the other
symbols.
"""

from dataclasses import dataclass, field
from typing import Literal

from spectral_ssl.ground.config import check_ranges, within


@dataclass(frozen=True, kw_only=True)
class LSCGANLossesConfig:
    """Settings of the losses.

    Attributes
    ----------
    adversarial_weight, same_weight, different_weight : float
        Weights a, s and d of D's losses on pairs.
    reconstruction_weight : float
        Weight in G's loss of the mean absolute difference between a sample and the image of its
        code; 0 for none. It is not in the paper.
    code_weight : float
        Weight in G's loss of the mean absolute difference between the standardised code of a sample
        and the code that it was made from; 0 for none. The codes must come from a run on images.
        It is not in the paper.
    generator_loss : {"non-saturating", "minimax"}
        G minimises -log D or log(1 - D).
    """

    adversarial_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    same_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    different_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    reconstruction_weight: float = field(default=0.0, metadata=within(0.0, 1e6))
    code_weight: float = field(default=0.0, metadata=within(0.0, 1e6))
    generator_loss: Literal["non-saturating", "minimax"] = "non-saturating"

    def __post_init__(self) -> None:
        check_ranges(self, "method.losses")


@dataclass(frozen=True, kw_only=True)
class LSCGANNetworksConfig:
    """Settings of the networks G and D.

    Attributes
    ----------
    latent : int
        Number Z of dimensions of the noise.
    width : int
        Number of channels of G and D at full side.
    modulated : bool
        Whether noise and code also scale and shift G's channels after each normalisation. It is not
        in the paper.
    """

    latent: int = field(default=128, metadata=within(1, 4096))
    width: int = field(default=64, metadata=within(1, 4096))
    modulated: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "method.networks")


@dataclass(frozen=True, kw_only=True)
class LSCGANOptimisationConfig:
    """Settings of the two Adam optimisers.

    Attributes
    ----------
    learning_rate, discriminator_learning_rate : float
        Learning rates of G and of D.
    beta1, beta2 : float
        Decays of both optimisers' moments.
    generator_updates : int
        Number n of steps of G for each step of D.
    average : float
        Decay of the exponential moving average of G's parameters that makes the samples; 0 takes
        G itself. It is not in the paper.
    """

    learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    discriminator_learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    beta1: float = field(default=0.5, metadata=within(0.0, 0.9999))
    beta2: float = field(default=0.999, metadata=within(0.0, 0.999999))
    generator_updates: int = field(default=1, metadata=within(1, 1000))
    average: float = field(default=0.0, metadata=within(0.0, 0.999999))

    def __post_init__(self) -> None:
        check_ranges(self, "method.optimisation")


@dataclass(frozen=True, kw_only=True)
class LSCGANConfig:
    """Settings of the latent-space-conditioned GAN.

    Attributes
    ----------
    conditioning : {"couples", "code", "none"}
        How samples depend on codes. With ``couples`` D sees pairs of images, with "code" D gets the
        code, and with "none" they do not depend on codes.
    losses : LSCGANLossesConfig
        Kinds and weights of the losses.
    networks : LSCGANNetworksConfig
        Sizes of G and D.
    optimisation : LSCGANOptimisationConfig
        Optimisers and learning rates.
    """

    conditioning: Literal["couples", "code", "none"] = "couples"
    losses: LSCGANLossesConfig = LSCGANLossesConfig()
    networks: LSCGANNetworksConfig = LSCGANNetworksConfig()
    optimisation: LSCGANOptimisationConfig = LSCGANOptimisationConfig()

    def __post_init__(self) -> None:
        check_ranges(self, "method")
