"""The encoders of the joint embedding: which one reads which data.

Each is an ``nn.Module`` whose ``forward`` gives what the projector reads, (B, code), and whose ``features`` gives what
is handed out, (B, D), both of standardised maps (B, C, H, W); ``activations`` gives all of its layers by name.
"""

from typing import Literal

from pretext.data.batch import Problem
from pretext.networks.coefficient_encoder import PerceptronEncoder
from pretext.networks.grid_encoder import GridEncoder
from pretext.networks.image_encoder import PictureEncoder
from spectral_ssl.ground.errors import UserError

EncoderName = Literal["auto", "grid", "perceptron", "pictures"]

# Units of the perceptron for each channel of the first convolution of the others: about as many multiplications.
UNITS = 16


def build_encoder(
    name: EncoderName, problem: Problem, *, highest_order: int, grid: int, width: int, code: int, filters: int
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
        return PictureEncoder(problem.condition[0], width, code, filters)
    if standardise is None or kind == "pixels":
        raise UserError(f"the {name} encoder reads maps of coefficients", "pictures", "take encoder=pictures")
    if problem.condition != standardise.basis.shape:
        got = f"shape {problem.condition}"
        raise UserError(f"the {name} encoder reads whole maps", got, "take another task, or encoder=pictures")
    if name == "grid":
        return GridEncoder(standardise, highest_order, grid, width, code)
    return PerceptronEncoder(standardise, highest_order, UNITS * width, code)
