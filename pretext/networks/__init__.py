"""Networks as importable units: encoders, generators, discriminators and the layers they share.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.

========================  ======================================================================
``encoder_decoder``       convolutional encoder, generator and latent optimiser for maps
``pointwise``             the same three-layer networks for data without extent
``coefficient_encoder``   residual perceptron on the coefficients of spectral maps
``grids``                 3D convolutions on the density that Zernike moments stand for
``image_encoder``         convolutional encoder of images, fast on a processor
``choose_encoder``        picks one of the last three for the data at hand
``latent_generator``      encoder and generator that give several samples for one condition
``discriminators``        discriminators of whole maps, of patches and of points
``patch_layer``           patch filters learnt by k-means before training
``patch_dictionary``      contrast normalisation, whitening and k-means of patches
``feature_layers``        the activations of an encoder as features, by name
``basic_layers``          a fast linear layer and the group normalisation
========================  ======================================================================
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from pretext.networks.basic_layers import Geometry as Geometry
    from pretext.networks.basic_layers import apply_linear as apply_linear
    from pretext.networks.basic_layers import plan as plan
    from pretext.networks.choose_encoder import build_encoder as build_encoder
    from pretext.networks.coefficient_encoder import CoefficientEncoder as CoefficientEncoder
    from pretext.networks.discriminators import GlobalDiscriminator as GlobalDiscriminator
    from pretext.networks.discriminators import PatchDiscriminator as PatchDiscriminator
    from pretext.networks.discriminators import PointDiscriminator as PointDiscriminator
    from pretext.networks.discriminators import TwoScaleDiscriminator as TwoScaleDiscriminator
    from pretext.networks.encoder_decoder import Encoder as Encoder
    from pretext.networks.encoder_decoder import Generator as Generator
    from pretext.networks.encoder_decoder import LatentOptimiser as LatentOptimiser
    from pretext.networks.encoder_decoder import build_encoder_and_generator as build_encoder_and_generator
    from pretext.networks.encoder_decoder import compute_bottleneck as compute_bottleneck
    from pretext.networks.feature_layers import pool_activations as pool_activations
    from pretext.networks.feature_layers import select_layer as select_layer
    from pretext.networks.grids.grid_bottleneck import GridBottleneck as GridBottleneck
    from pretext.networks.grids.grid_encoder import GridEncoder as GridEncoder
    from pretext.networks.grids.pooled_grid_encoder import PooledGridEncoder as PooledGridEncoder
    from pretext.networks.image_encoder import ImageEncoder as ImageEncoder
    from pretext.networks.latent_generator import LatentGenerator as LatentGenerator
    from pretext.networks.patch_layer import PatchLayer as PatchLayer
    from pretext.networks.pointwise import PointwiseEncoder as PointwiseEncoder
    from pretext.networks.pointwise import PointwiseGenerator as PointwiseGenerator

# public name -> the module that holds it
PUBLIC_NAMES = {
    "CoefficientEncoder": "pretext.networks.coefficient_encoder",
    "Encoder": "pretext.networks.encoder_decoder",
    "Generator": "pretext.networks.encoder_decoder",
    "Geometry": "pretext.networks.basic_layers",
    "GlobalDiscriminator": "pretext.networks.discriminators",
    "GridBottleneck": "pretext.networks.grids.grid_bottleneck",
    "GridEncoder": "pretext.networks.grids.grid_encoder",
    "ImageEncoder": "pretext.networks.image_encoder",
    "LatentGenerator": "pretext.networks.latent_generator",
    "LatentOptimiser": "pretext.networks.encoder_decoder",
    "PatchDiscriminator": "pretext.networks.discriminators",
    "PooledGridEncoder": "pretext.networks.grids.pooled_grid_encoder",
    "PatchLayer": "pretext.networks.patch_layer",
    "PointDiscriminator": "pretext.networks.discriminators",
    "PointwiseEncoder": "pretext.networks.pointwise",
    "PointwiseGenerator": "pretext.networks.pointwise",
    "TwoScaleDiscriminator": "pretext.networks.discriminators",
    "apply_linear": "pretext.networks.basic_layers",
    "build_encoder": "pretext.networks.choose_encoder",
    "build_encoder_and_generator": "pretext.networks.encoder_decoder",
    "compute_bottleneck": "pretext.networks.encoder_decoder",
    "plan": "pretext.networks.basic_layers",
    "pool_activations": "pretext.networks.feature_layers",
    "select_layer": "pretext.networks.feature_layers",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
