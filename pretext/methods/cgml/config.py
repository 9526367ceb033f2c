"""Settings of cGML, in groups.

The path of the latent z (``path``), the three networks (``networks``) and their training
(``optimisation``) have a group each. ``experimental`` holds options that are in neither the paper
nor the authors' code.

H is the encoder, G the generator and Z the latent optimiser; ``pretext.methods.cgml.model``
explains the other symbols.
"""

from dataclasses import dataclass, field
from typing import Literal

from pretext.losses.latent_path import PathLoss
from pretext.losses.reconstruction import Loss
from pretext.methods.cgml.flow import Solver
from pretext.methods.cgml.latent_path import Domain
from pretext.networks.encoder_decoder import BottleneckEncoderName
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class LatentPathConfig:
    """Settings of the latent z and of its path.

    Attributes
    ----------
    latent : int
        Number D of dimensions of z. The research code has 10 for most tasks.
    domain : {"ball", "sphere"}
        Domain of z: the unit ball (poster) or its surface (the poster's code).
    dynamics : {"equation-4", "flow"}
        How z moves at inference, and so what Z learns: the next latent and the length of the step
        (the paper), or a velocity (``pretext.methods.cgml.flow``). ``inference_steps``,
        ``use_rho``, ``settle``, ``path_loss``, ``tolerance`` and ``latent_updates`` are of
        equation 4, ``flow_steps`` and ``flow_solver`` of the flow.
    flow_steps : int
        Number T of steps of the flow at inference.
    flow_solver : {"euler", "heun"}
        One evaluation of Z for each of these steps, or two with a smaller error.
    steps : int
        Number M of latent steps in training. It is the number at inference too, unless
        ``inference_steps`` is set.
    step_size, momentum : float
        beta and gamma of the latent's gradient steps.
    step_power : float
        p; the paper has 1. A step is beta g |g|^(p-1), where |g| is the length of the sample's own
        gradient. Below 1, latents with small gradients travel nearly as far as the others. Small
        gradients occur where the valid predictions differ little.
    inference_steps : int
        Largest number of steps of equation 4; 0 means M.
    use_rho : bool
        Whether a step follows equation 4. Without rho it is z_{t+1} = r.
    settle : int
        Number of last inference steps that go to r itself. rho predicts the step length during
        optimisation, so a converged latent keeps oscillating by about that length.
    """

    latent: int = field(default=10, metadata=within(1, 4096))
    domain: Domain = "ball"
    dynamics: Literal["equation-4", "flow"] = "equation-4"
    flow_steps: int = field(default=16, metadata=within(1, 10_000))
    flow_solver: Solver = "euler"
    steps: int = field(default=20, metadata=within(0, 10_000))
    step_size: float = field(default=30.0, metadata=within(0.0, 1e6))
    momentum: float = field(default=0.0, metadata=within(0.0, 0.9999))
    step_power: float = field(default=1.0, metadata=within(0.0, 1.0))
    inference_steps: int = field(default=0, metadata=within(0, 10_000))
    use_rho: bool = True
    settle: int = field(default=0, metadata=within(0, 10_000))

    def __post_init__(self) -> None:
        check_ranges(self, "method.path")
        if self.dynamics == "flow" and not self.steps:
            do = "give at least 1 gradient step, or dynamics=equation-4"
            raise UserError("a flow without steps to learn from", "method.path.steps = 0", do)

    @property
    def steps_at_inference(self) -> int:
        """Number T of steps at inference."""
        if self.dynamics == "flow":
            return self.flow_steps
        return self.inference_steps or self.steps


@dataclass(frozen=True, kw_only=True)
class CGMLNetworksConfig:
    """Settings of the networks H, G and Z.

    Attributes
    ----------
    encoder : {"map", "grid", "pooled-grid"}
        H convolves the map as an image. "grid" and "pooled-grid" need Zernike moments, and convolve
        the density that they describe; the latter is deeper and has fewer parameters.
    width : int
        Number of channels after the first halving of the map. They double with each further one.
    width_limit : int
        Most channels of a layer, as a multiple of ``width``. The paper's networks never stop doubling:
        they need 16 at 128 pixels and 32 at 256.
    code : int
        Size of the code between H's convolutions and the bottleneck.
    hidden : int
        Width of Z's two hidden layers.
    skips : bool
        Whether activations of H are added to those of G.
    latent_gain : float
        Ratio of the initial size of G's weights of z to that of its weights of h. h has many more
        rows than z and drowns it. On photographs of 64 pixels z did not move with 1 (latent steps
        of 0.004). It moved with sqrt(channels of h / dimensions of z).
    modulate : bool
        Whether z also scales and shifts the activations of G's layers.
    residual : bool
        Whether the condition is added to the prediction, with weights that G computes; for spectral
        maps that are damaged in part.
    """

    encoder: BottleneckEncoderName = "map"
    width: int = field(default=64, metadata=within(1, 4096))
    width_limit: int = field(default=8, metadata=within(1, 1024))
    code: int = field(default=512, metadata=within(1, 65536))
    hidden: int = field(default=512, metadata=within(1, 65536))
    skips: bool = False
    latent_gain: float = field(default=1.0, metadata=within(0.0, 1e6))
    modulate: bool = False
    residual: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "method.networks")


@dataclass(frozen=True, kw_only=True)
class CGMLOptimisationConfig:
    """Settings of the losses and of their optimisers.

    Attributes
    ----------
    loss : {"l1", "l2", "pyramid", "ssim"}
        E: mean absolute or mean squared error, or the absolute one and an error of images at several
        scales or of their structure (``pretext.losses.reconstruction``).
    path_loss : {"l1", "l2"}
        Loss of Z. l1 (poster) regresses the median of the next latents, l2 (the authors' toy codes)
        their mean.
    lipschitz : float
        Weight lambda of the Lipschitz noise penalties on G and on Z. 0 saves a pass of G. A flow has
        none on Z.
    lipschitz_noise : float
        Standard deviation of the noise e of these penalties.
    candidates : int
        Number of first latents that training tries for each sample, with forward passes of G alone;
        the gradient steps begin at the nearest. 1 is the paper.
    inferred_weight : float
        Weight of a term that is not in the paper. It is E of the best of ``inferred_answers``
        predictions whose latents Z moved, as at inference. Without it, G is trained only at latents
        that followed the true error.
    inferred_answers : int
        Number of predictions of which the best counts there. A single one would pull all modes to
        their mean.
    learning_rate, latent_learning_rate : float
        Learning rates of Adam for H and G, and for Z.
    decay : {"none", "cosine"}
        Whether both rates fall over the training, by half a cosine to a hundredth.
    schedule : {"joint", "two-stage"}
        Whether Z is trained together with H and G, or after them.
    first_stage : int
        Number of steps of the first of two stages.
    """

    loss: Loss = "l1"
    path_loss: PathLoss = "l1"
    lipschitz: float = field(default=0.1, metadata=within(0.0, 1e6))
    lipschitz_noise: float = field(default=1e-3, metadata=within(0.0, 1e3))
    candidates: int = field(default=1, metadata=within(1, 1000))
    inferred_weight: float = field(default=0.0, metadata=within(0.0, 1e6))
    inferred_answers: int = field(default=4, metadata=within(1, 1000))
    learning_rate: float = field(default=1e-3, metadata=within(0.0, 10.0))
    latent_learning_rate: float = field(default=1e-4, metadata=within(0.0, 10.0))
    decay: Literal["none", "cosine"] = "none"
    schedule: Literal["joint", "two-stage"] = "joint"
    first_stage: int = field(default=1000, metadata=within(0, 1_000_000_000))

    def __post_init__(self) -> None:
        check_ranges(self, "method.optimisation")


@dataclass(frozen=True, kw_only=True)
class CGMLExperimentalConfig:
    """Options beyond the sources. Only ``latent_loss`` has a measured better score (docs/cgml.md).

    Attributes
    ----------
    tolerance : float
        At inference, a latent whose step would be shorter than this has converged and stays.
    latent_updates : {"each-step", "whole-path"}
        Z is updated after every latent step, as in the algorithm, or once on all M of them. The
        latter is faster, but Z learns a little less.
    rho_factor : float
        alpha of equation 4: at inference a step is this many times as long as Z predicts.
    latent_loss : {"same", "l1", "l2", "pyramid", "ssim"}
        E whose gradient moves z, with both dynamics, if not ``optimisation.loss``. It is computed for
        each candidate and each latent step, the other once for a batch. ``step_size`` goes with it.
    """

    tolerance: float = field(default=0.0, metadata=within(0.0, 2.0))
    latent_updates: Literal["each-step", "whole-path"] = "each-step"
    rho_factor: float = field(default=1.0, metadata=within(0.0, 1000.0))
    latent_loss: Literal["same", "l1", "l2", "pyramid", "ssim"] = "same"

    def __post_init__(self) -> None:
        check_ranges(self, "method.experimental")


@dataclass(frozen=True, kw_only=True)
class CGMLConfig:
    """Settings of cGML.

    Attributes
    ----------
    path : LatentPathConfig
        The latent z and its steps.
    networks : CGMLNetworksConfig
        Sizes and kinds of H, G and Z.
    optimisation : CGMLOptimisationConfig
        Losses and optimisers.
    experimental : CGMLExperimentalConfig
        Options beyond the sources.
    """

    path: LatentPathConfig = LatentPathConfig()
    networks: CGMLNetworksConfig = CGMLNetworksConfig()
    optimisation: CGMLOptimisationConfig = CGMLOptimisationConfig()
    experimental: CGMLExperimentalConfig = CGMLExperimentalConfig()

    def __post_init__(self) -> None:
        check_ranges(self, "method")
        candidates = self.optimisation.candidates
        if candidates > 1 and self.path.dynamics != "flow":
            # Z would learn steps from good latents only, and inference begins at any.
            got = f"method.optimisation.candidates = {candidates}"
            raise UserError("several first latents are for the flow", got, "set dynamics=flow, or candidates=1")

    @property
    def latent_loss(self) -> Loss:
        """E whose gradient moves z."""
        chosen = self.experimental.latent_loss
        return self.optimisation.loss if chosen == "same" else chosen
