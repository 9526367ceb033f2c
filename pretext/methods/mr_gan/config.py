"""Settings of MR-GAN, in groups.

G is the generator, D the discriminator and P the predictor of the proxy variants;
``pretext.methods.mr_gan.model`` explains the other symbols.
"""

from dataclasses import dataclass, field

from pretext.losses.moment_matching import find_variant
from pretext.losses.reconstruction import Loss
from pretext.methods.mr_gan.choose_networks import BaseName
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class MRGANLossesConfig:
    """Settings of G's loss.

    Attributes
    ----------
    centre_weight, dispersion_weight : float
        Weights l1 and l2 of the variant's two terms. The second one is for proxy-mr2 only.
    slack : float
        c, which is added to the errors in the likelihoods. Predicted dispersions stay above it.
    adversarial_weight : float
        Weight w of the discriminator's term; 0 leaves D out.
    reconstruction_weight : float
        Weight r of the error E of every sample.
    loss : {"l1", "l2", "pyramid", "ssim"}
        E: mean absolute or mean squared error, or the absolute one and an error of images at several
        scales or of their structure (``pretext.losses.reconstruction``).
    """

    centre_weight: float = field(default=10.0, metadata=within(0.0, 1e6))
    dispersion_weight: float = field(default=10.0, metadata=within(0.0, 1e6))
    slack: float = field(default=0.0, metadata=within(0.0, 1e3))
    adversarial_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    reconstruction_weight: float = field(default=0.0, metadata=within(0.0, 1e6))
    loss: Loss = "l1"

    def __post_init__(self) -> None:
        check_ranges(self, "method.losses")


@dataclass(frozen=True, kw_only=True)
class ProxyConfig:
    """Settings of the predictor P of the proxy variants.

    Attributes
    ----------
    predictor_steps : int
        Number of steps of P, before those of G.
    predictor : str
        Folder of a run whose trained P is reused; data and task must be the same. "auto" takes the
        newest run that fits.
    """

    predictor_steps: int = field(default=1000, metadata=within(1, 1_000_000_000))
    predictor: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, "method.proxy")


@dataclass(frozen=True, kw_only=True)
class MRGANNetworksConfig:
    """Settings of the networks G, D and P.

    Attributes
    ----------
    base : {"auto", "unet", "residual", "dilated", "latent"}
        Kind of the networks. "auto" takes the one of the task.
    width : int
        Number of channels of the first layer of G and P, and after D's first halving.
    noise_channels : int
        Number of channels of noise where noise enters. For "latent" it is the number of dimensions
        of z.
    code : int
        Size of the code, for "latent". For data without extent it is the width of all layers.
    skips : bool
        Whether activations of the encoder are added to those of the generator, for "latent".
    """

    base: BaseName = "auto"
    width: int = field(default=64, metadata=within(1, 4096))
    noise_channels: int = field(default=32, metadata=within(1, 4096))
    code: int = field(default=512, metadata=within(1, 65536))
    skips: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "method.networks")


@dataclass(frozen=True, kw_only=True)
class MRGANOptimisationConfig:
    """Settings of the optimisers, all Adam with AMSGrad.

    Attributes
    ----------
    learning_rate, discriminator_learning_rate : float
        Learning rates of G and P, and of D.
    beta1 : float
        Decay of the mean gradient.
    weight_decay : float
        Weight decay.
    clip : float
        Limit of each value of a gradient.
    generator_updates : int
        Number n of steps of G for each step of D.
    """

    learning_rate: float = field(default=1e-4, metadata=within(0.0, 10.0))
    discriminator_learning_rate: float = field(default=1e-4, metadata=within(0.0, 10.0))
    beta1: float = field(default=0.5, metadata=within(0.0, 0.9999))
    weight_decay: float = field(default=1e-4, metadata=within(0.0, 10.0))
    clip: float = field(default=0.5, metadata=within(1e-9, 1e9))
    generator_updates: int = field(default=1, metadata=within(1, 1000))

    def __post_init__(self) -> None:
        check_ranges(self, "method.optimisation")


@dataclass(frozen=True, kw_only=True)
class MRGANExperimentalConfig:
    """Options beyond the paper, for which no better score has been measured.

    Attributes
    ----------
    average : float
        Decay of the exponential moving average of G's parameters that makes the samples; 0 takes
        G itself. On inpainting, it left diversity and Frechet distance as they were
        (docs/experiments.md).
    """

    average: float = field(default=0.0, metadata=within(0.0, 0.999999))

    def __post_init__(self) -> None:
        check_ranges(self, "method.experimental")


@dataclass(frozen=True, kw_only=True)
class MRGANConfig:
    """Settings of MR-GAN.

    Attributes
    ----------
    variant : str
        {gaussian, laplace}-{mr, proxy-mr}{1, 2}, or "none" for a plain conditional GAN.
    samples : int
        Number K of samples for each condition in training.
    graded_samples : int
        Number k of samples that require a gradient; 0 for all K. Their gradient counts K/k times.
        The mean gradient is the same before clipping, but it is noisier. A step costs little more
        than K forward passes.
    losses : MRGANLossesConfig
        Weights of G's loss.
    proxy : ProxyConfig
        The predictor of the proxy variants.
    networks : MRGANNetworksConfig
        Kind and sizes of the networks.
    optimisation : MRGANOptimisationConfig
        Optimisers and learning rates.
    experimental : MRGANExperimentalConfig
        Options without a measured benefit.
    """

    variant: str = "gaussian-proxy-mr2"
    samples: int = field(default=10, metadata=within(1, 1000))
    graded_samples: int = field(default=0, metadata=within(0, 1000))
    losses: MRGANLossesConfig = MRGANLossesConfig()
    proxy: ProxyConfig = ProxyConfig()
    networks: MRGANNetworksConfig = MRGANNetworksConfig()
    optimisation: MRGANOptimisationConfig = MRGANOptimisationConfig()
    experimental: MRGANExperimentalConfig = MRGANExperimentalConfig()

    def __post_init__(self) -> None:
        variant = None if self.variant == "none" else find_variant(self.variant)
        check_ranges(self, "method")
        if self.graded_samples > self.samples:
            got = f"method.graded_samples = {self.graded_samples}, method.samples = {self.samples}"
            raise UserError("a gradient of more samples than there are", got, "set method.graded_samples=0 for all")
        if variant is not None and variant.moments == 2 and self.samples < 2:
            what_to_do = f"set method.samples to 10, or take {self.variant.replace('mr2', 'mr1')}"
            raise UserError("one sample has no second moment", f"method.samples = 1 with {self.variant}", what_to_do)
        if variant is None and not self.losses.adversarial_weight and not self.losses.reconstruction_weight:
            raise UserError("nothing to minimise", "variant = none and no weights", "set method.reconstruction_weight")
