"""Rotation prediction (RotNet: Gidaris, Singh and Komodakis, ICLR 2018), and the same networks untrained.

Each image is rotated by 0, 90, 180 and 270 degrees, and the network classifies the rotation. The
labels need no annotation. Features are a layer's activations. There are two networks:

* ``blocks``: pairs of 3x3 convolutions, with the side halved after each pair but the last. The paper's
  network is deeper (NIN).
* ``alexnet``: the five convolutions of AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012, in one
  tower), on images scaled to ``side``. Untrained, with ``epochs=0``, it is the extractor of the
  latent-space-conditioned GAN for MNIST (Durall et al., VISAPP 2021, section 4.1). That paper names
  neither the layer nor the scale.

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

ROTATIONS = 4
SMALLEST_SIDE = {"blocks": 8, "alexnet": 63}
STAGES = {"blocks": 4, "alexnet": 5}


@dataclass(frozen=True, kw_only=True)
class RotationPredictionConfig:
    """Settings of the method.

    Attributes
    ----------
    network : {"blocks", "alexnet"}
        Network that predicts the rotation.
    side : int
        Side in pixels to which images are scaled first; 0 keeps their size.
    layer : int
        Layer whose activations are the features: 1 to 4 for ``blocks``, 1 to 5 for ``alexnet``,
        whose first two layers include their pooling.
    pool : int
        Side of the grid to which these activations are averaged; 0 keeps their size.
    width : int
        Channels of the first pair of ``blocks``; they double with each pair.
    learning_rate : float
        Learning rate of Adam.
    weight_decay : float
        Weight decay of Adam.
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
        The problem whose targets are the images. What the task hides is not hidden here.

    Raises
    ------
    UserError
        If the data are not images, not square, or too small.
    """

    has_completions = False

    def __init__(self, config: RotationPredictionConfig, problem: Problem) -> None:
        super().__init__()
        channels, height, width = problem.target
        if not problem.bounded or height != width:
            raise UserError("rotations need square images", f"maps {problem.target}", "give other --data")
        if problem.condition[1:] == problem.target[1:] and problem.condition[0] != channels:
            got = f"conditions of {problem.condition[0]} channels, targets of {channels}"
            raise UserError("rotations need a task that does not change the channels", got, "take --task from-code")
        side, least = config.side or height, SMALLEST_SIDE[config.network]
        if side < least:
            raise UserError(f"images too small for {config.network}", f"{side} pixels a side", f"set side={least + 1}")
        self.config = config
        if config.network == "alexnet":
            stages, last = build_alexnet_stages(channels), 256
        else:
            stages, last = build_block_stages(channels, config.width), 8 * config.width
        self.stages = nn.ModuleList(stages)
        self.judge = nn.Linear(last, ROTATIONS)  # the classifier; its name is a key in checkpoints
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(
                self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
            )
        }

    def _stage_activations(self, images: Tensor, stages: int) -> list[Tensor]:
        """Compute the activations (B, F, s, s) after each of the first ``stages`` stages."""
        if self.config.side:
            size = (self.config.side, self.config.side)
            images = functional.interpolate(images, size, mode="bilinear", align_corners=False)
        activations: list[Tensor] = []
        for stage in self.stages[:stages]:
            images = stage(images)
            activations.append(images)
        return activations

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step the network once on all four rotations of a batch; no random numbers are drawn.

        Parameters
        ----------
        example : Example
            The batch. Its targets are the images (B, C, S, S); its conditions are not used.
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss``, the cross-entropy, and ``accuracy``, the share of rotations classified
            correctly.
        """
        images = example.target
        rotated = torch.cat([torch.rot90(images, turns, dims=(2, 3)) for turns in range(ROTATIONS)])  # (4 B, C, S, S)
        truth = torch.arange(ROTATIONS).repeat_interleave(len(images))
        logits = self.judge(self._stage_activations(rotated, len(self.stages))[-1].mean(dim=(2, 3)))
        loss = functional.cross_entropy(to_full_precision(logits), truth)
        yield OptimisationStep(self.optimizers["main"], loss)
        return {"loss": loss.item(), "accuracy": (logits.argmax(dim=1) == truth).float().mean().item()}

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of ``encode`` so that they require gradients."""
        activations = self._stage_activations(condition, self.config.layer)[-1]
        if self.config.pool and self.config.pool < activations.shape[2]:
            activations = functional.adaptive_avg_pool2d(activations, self.config.pool)
        return activations.flatten(1)

    def _activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute the activations of all stages by name: ``stage1`` .."""
        activations = self._stage_activations(condition, len(self.stages))
        return {f"stage{number}": values for number, values in enumerate(activations, 1)}


def build_block_stages(channels: int, width: int) -> list[nn.Module]:
    """Build four pairs of 3x3 convolutions, (B, C, S, S) -> (B, 8 width, S/8, S/8)."""
    stages: list[nn.Module] = []
    for level, (before, after) in enumerate(pairwise((channels, width, 2 * width, 4 * width, 8 * width))):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if level else []
        for first, second in ((before, after), (after, after)):
            layers += [nn.Conv2d(first, second, 3, padding=1, bias=False), build_norm(second), nn.ReLU()]
        stages.append(nn.Sequential(*layers))
    return stages


def build_alexnet_stages(channels: int) -> list[nn.Module]:
    """Build AlexNet's five convolutions, (B, C, S, S) -> (B, 256, s, s); the first two include their pooling."""
    return [
        nn.Sequential(nn.Conv2d(channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
