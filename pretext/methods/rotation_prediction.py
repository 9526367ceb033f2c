"""Which way up is this picture? (RotNet: Gidaris, Singh and Komodakis, ICLR 2018), and networks that never learnt it.

Each picture is shown in four rotations, by 0, 90, 180 and 270 degrees, and the network says which is which: a label
that costs nothing. Features are a layer's activations. Two networks:

* ``blocks``: pairs of 3x3 convolutions, a halving of the side after each pair but the last. The paper's is deeper
  (NIN).
* ``alexnet``: the five convolutions of AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012, in one tower), pictures
  scaled to ``side``. Untrained, with ``epochs=0``, it is the extractor of the latent-space-conditioned GAN for MNIST
  (Durall et al., VISAPP 2021, section 4.1), which names neither the layer nor the scale.

Letters in shapes: B batch, C channels, S side lengths, D number of features.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.batch import Example, Problem
from pretext.method import MethodDefaults
from pretext.networks.basic_layers import build_norm
from pretext.numerics import to_full_precision
from pretext.optimisation import OptimisationStep, OptimisationSteps
from spectral_ssl.ground.config import check_range, check_ranges, within
from spectral_ssl.ground.errors import UserError

TURNS = 4
SMALLEST_SIDE = {"blocks": 8, "alexnet": 63}
STAGES = {"blocks": 4, "alexnet": 5}


@dataclass(frozen=True, kw_only=True)
class RotationPredictionConfig:
    """Settings of the method.

    Attributes
    ----------
    network : {"blocks", "alexnet"}
        What predicts.
    side : int
        Pixels a side to which pictures are scaled first; 0 leaves them as they are.
    layer : int
        Whose activations are the features: of blocks 1 to 4, of AlexNet's convolutions 1 to 5, the first two after
        their pooling.
    pool : int
        Places a side to which these are averaged; 0 leaves them as they are.
    width : int
        Of blocks: channels of the first pair; they double with each.
    learning_rate : float
        Of Adam.
    weight_decay : float
    """

    network: Literal["blocks", "alexnet"] = "blocks"
    side: int = field(default=0, metadata=within(0, 1024))
    layer: int = field(default=3, metadata=within(1, max(STAGES.values())))
    pool: int = field(default=4, metadata=within(0, 1024))
    width: int = field(default=32, metadata=within(1, 4096))
    learning_rate: float = field(default=1e-3, metadata=within(0.0, 10.0))
    weight_decay: float = field(default=1e-4, metadata=within(0.0, 10.0))

    def __post_init__(self) -> None:
        check_ranges(self, "method")
        check_range("method.layer", self.layer, 1, STAGES[self.network])


class RotationPrediction(MethodDefaults, nn.Module):
    """The network with its optimiser.

    Parameters
    ----------
    config : RotationPredictionConfig
        Settings.
    problem : Problem
        Its targets are the pictures; what the task hides is not hidden here.

    Raises
    ------
    UserError
        When the data are no pictures, not square, or too small.
    """

    has_completions = False

    def __init__(self, config: RotationPredictionConfig, problem: Problem) -> None:
        super().__init__()
        channels, height, width = problem.target
        if not problem.bounded or height != width:
            raise UserError("rotations are told of square pictures", f"maps {problem.target}", "give other --data")
        side, least = config.side or height, SMALLEST_SIDE[config.network]
        if side < least:
            raise UserError(
                f"pictures too small for {config.network}", f"{side} pixels a side", f"set side={least + 1}"
            )
        self.config = config
        if config.network == "alexnet":
            stages, last = alexnet_stages(channels), 256
        else:
            stages, last = block_stages(channels, config.width), 8 * config.width
        self.stages = nn.ModuleList(stages)
        self.judge = nn.Linear(last, TURNS)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(
                self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
            )
        }

    def _stage_activations(self, pictures: Tensor, stages: int) -> list[Tensor]:
        """Activations (B, F, s, s) after each of the first so many stages."""
        if self.config.side:
            size = (self.config.side, self.config.side)
            pictures = functional.interpolate(pictures, size, mode="bilinear", align_corners=False)
        found: list[Tensor] = []
        for stage in self.stages[:stages]:
            pictures = stage(pictures)
            found.append(pictures)
        return found

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step the network once on all four rotations of a batch; nothing is drawn.

        Parameters
        ----------
        example : Example
            Its targets are the pictures (B, C, S, S); conditions are not looked at.
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss``, the cross-entropy, and ``accuracy``, the share of rotations told rightly.
        """
        pictures = example.target
        turned = torch.cat([torch.rot90(pictures, turns, dims=(2, 3)) for turns in range(TURNS)])  # (4 B, C, S, S)
        truth = torch.arange(TURNS).repeat_interleave(len(pictures))
        logits = self.judge(self._stage_activations(turned, len(self.stages))[-1].mean(dim=(2, 3)))
        loss = functional.cross_entropy(to_full_precision(logits), truth)
        yield OptimisationStep(self.optimizers["main"], loss)
        return {"loss": loss.item(), "accuracy": (logits.argmax(dim=1) == truth).float().mean().item()}

    def features(self, condition: Tensor) -> Tensor:
        """What ``encode`` gives, with a gradient."""
        activations = self._stage_activations(condition, self.config.layer)[-1]
        if self.config.pool and self.config.pool < activations.shape[2]:
            activations = functional.adaptive_avg_pool2d(activations, self.config.pool)
        return activations.flatten(1)

    def _activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute the activations of all stages by name: ``stage1`` .."""
        activations = self._stage_activations(condition, len(self.stages))
        return {f"stage{number}": values for number, values in enumerate(activations, 1)}


def block_stages(channels: int, width: int) -> list[nn.Module]:
    """Four pairs of 3x3 convolutions, (B, C, S, S) -> (B, 8 width, S/8, S/8)."""
    stages: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise((channels, width, 2 * width, 4 * width, 8 * width))):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if place else []
        for first, second in ((before, after), (after, after)):
            layers += [nn.Conv2d(first, second, 3, padding=1, bias=False), build_norm(second), nn.ReLU()]
        stages.append(nn.Sequential(*layers))
    return stages


def alexnet_stages(channels: int) -> list[nn.Module]:
    """AlexNet's five convolutions, (B, C, S, S) -> (B, 256, s, s); the first two with their pooling."""
    return [
        nn.Sequential(nn.Conv2d(channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
