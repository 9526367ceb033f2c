"""The encoders of the joint embedding: which one reads which data.

Each is an ``nn.Module`` whose ``forward`` gives what the projector reads, (B, code), and whose ``features`` gives what
is handed out, (B, D), both of standardised maps (B, C, H, W); ``activations`` gives all of its layers by name.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pretext.grid_encoder import GridEncoder
from pretext.networks import Encoder, plan
from pretext.perceptron_encoder import PerceptronEncoder
from pretext.tasks.example import Problem
from spectral_ssl.ground.errors import UserError

EncoderName = Literal["auto", "grid", "perceptron", "pictures"]

# Units of the perceptron for each channel of the first convolution of the others: about as many multiplications.
UNITS = 16


class PictureEncoder(nn.Module):
    """The convolutions of ``pretext.networks`` and a last layer."""

    def __init__(self, shape: tuple[int, int, int], width: int, code: int) -> None:
        super().__init__()
        geometry = plan(shape, width)
        self.encoder = Encoder(geometry, code)
        self.to_code = nn.Linear(geometry.bottleneck, code)

    def forward(self, maps: Tensor) -> Tensor:
        """What the projector reads: (B, code) of pictures (B, C, H, W)."""
        code: Tensor = self.to_code(self.encoder(maps).flatten(1))
        return torch.relu(code)

    def features(self, maps: Tensor) -> Tensor:
        """The bottleneck (B, F s s)."""
        bottleneck: Tensor = self.encoder(maps).flatten(1)
        return bottleneck

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """What the convolutional encoder computes, by name."""
        return self.encoder.activations(maps)


def build_encoder(
    name: EncoderName, problem: Problem, *, highest_order: int, grid: int, width: int, code: int
) -> GridEncoder | PerceptronEncoder | PictureEncoder:
    """The encoder of that name, or with "auto" the one that suits the data.

    Raises
    ------
    UserError
        When the encoder cannot read such data.
    """
    standardise = problem.standardise
    kind = "pixels" if standardise is None else standardise.basis.kind
    if name == "auto":
        name = "pictures" if kind == "pixels" else "grid" if kind == "zernike" else "perceptron"
    if name == "pictures":
        return PictureEncoder(problem.condition, width, code)
    if standardise is None or kind == "pixels":
        raise UserError(f"the {name} encoder reads maps of coefficients", "pictures", "take encoder=pictures")
    if problem.condition != standardise.basis.shape:
        got = f"shape {problem.condition}"
        raise UserError(f"the {name} encoder reads whole maps", got, "take another task, or encoder=pictures")
    if name == "grid":
        return GridEncoder(standardise, highest_order, grid, width, code)
    return PerceptronEncoder(standardise, highest_order, UNITS * width, code)
