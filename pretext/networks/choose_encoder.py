"""Choose the encoder of the joint embedding that suits the data.

Each encoder is an ``nn.Module`` for standardised maps (B, C, H, W). Its ``forward`` returns the
input of the projector, (B, code); ``features`` returns the features, (B, D); ``activations``
returns all of its layers by name.
"""

from typing import Literal

from pretext.data.batch import Problem
from pretext.networks.coefficient_encoder import CoefficientEncoder
from pretext.networks.grids.grid_encoder import GridEncoder
from pretext.networks.grids.pooled_grid_encoder import PooledGridEncoder
from pretext.networks.image_encoder import ImageEncoder
from spectral_ssl.ground.errors import UserError

EncoderName = Literal["auto", "grid", "pooled-grid", "perceptron", "pictures"]

# For each channel of the other encoders' first convolution the perceptron has so many units: about
# as many products.
UNITS_PER_CHANNEL = 16


def build_encoder(
    name: EncoderName,
    problem: Problem,
    *,
    highest_order: int,
    grid: int,
    width: int,
    code: int,
    filters: int,
    blocks: int = 0,
    mirrored: bool = False,
) -> GridEncoder | PooledGridEncoder | CoefficientEncoder | ImageEncoder:
    """Build the encoder of a given name, or the one that suits the data.

    Parameters
    ----------
    name : {"auto", "grid", "pooled-grid", "perceptron", "pictures"}
        The encoder. "auto" takes "pictures" for images, "grid" for Zernike moments and "perceptron"
        otherwise.
    problem : Problem
        Shape of the conditions, and basis and statistics of the data.
    highest_order : int
        Highest order n of the coefficients that are read; 0 for all. Ignored for images.
    grid : int
        Number of cells on a side of the grid ("grid" and "pooled-grid" only).
    width : int
        Channels of the first convolution; the perceptron has 16 units for each of them.
    code : int
        Size of the last layer.
    filters : int
        Number of patch filters, 0 for none ("pictures" only).
    blocks : int
        Number of residual blocks of a stage ("pictures" only).
    mirrored : bool
        Whether features are means over an image and its mirror image ("pictures" only).

    Returns
    -------
    GridEncoder, PooledGridEncoder, CoefficientEncoder or ImageEncoder

    Raises
    ------
    UserError
        If the encoder cannot read such data.

    Examples
    --------
    >>> from pretext.data import Problem
    >>> from pretext.networks import build_encoder
    >>> images = Problem(condition=(3, 32, 32), target=(3, 32, 32), bounded=True)
    >>> encoder = build_encoder("auto", images, highest_order=0, grid=20, width=8, code=64, filters=0)
    >>> type(encoder).__name__
    'ImageEncoder'
    """
    standardise = problem.standardise
    kind = "pixels" if standardise is None else standardise.basis.kind
    if name == "auto":
        name = "pictures" if kind == "pixels" else "grid" if kind == "zernike" else "perceptron"
    if name == "pictures":
        return ImageEncoder(problem.condition[0], width, code, filters, blocks=blocks, mirrored=mirrored)
    if standardise is None or kind == "pixels":
        raise UserError(f"the {name} encoder reads maps of coefficients", "images", "set encoder=pictures")
    if problem.condition != standardise.basis.shape:
        got = f"shape {problem.condition}"
        raise UserError(f"the {name} encoder reads whole maps", got, "choose another task, or set encoder=pictures")
    if name == "grid":
        return GridEncoder(standardise, highest_order, grid, width, code)
    if name == "pooled-grid":
        return PooledGridEncoder(standardise, highest_order, grid, width, code)
    return CoefficientEncoder(standardise, highest_order, UNITS_PER_CHANNEL * width, code)
