"""Losses as importable units: plain functions of tensors, without networks.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.

=====================  ==========================================================================
``vicreg``             variance, invariance and covariance of two views (joint embedding)
``moment_matching``    mean and dispersion of several samples for one condition (MR-GAN)
``adversarial``        cross-entropy losses of a discriminator and of its generator
``triple_coupled``     three kinds of pairs that a discriminator tells apart (LSC-GAN)
``reconstruction``     weighted error of each sample of a batch, L1 or L2
``multi_scale``        errors of images at several scales and of their structure
``latent_path``        losses of cGML's latent optimiser along a path of latents
=====================  ==========================================================================
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from pretext.losses.adversarial import discriminator_loss as discriminator_loss
    from pretext.losses.adversarial import fill_from_target as fill_from_target
    from pretext.losses.adversarial import generator_loss as generator_loss
    from pretext.losses.adversarial import real_fake_cross_entropy as real_fake_cross_entropy
    from pretext.losses.latent_path import path_losses as path_losses
    from pretext.losses.moment_matching import MomentLosses as MomentLosses
    from pretext.losses.moment_matching import Moments as Moments
    from pretext.losses.moment_matching import Variant as Variant
    from pretext.losses.moment_matching import find_variant as find_variant
    from pretext.losses.moment_matching import gaussian_likelihood as gaussian_likelihood
    from pretext.losses.moment_matching import laplace_likelihood as laplace_likelihood
    from pretext.losses.moment_matching import moment_losses as moment_losses
    from pretext.losses.moment_matching import sample_moments as sample_moments
    from pretext.losses.moment_matching import thin_gradient as thin_gradient
    from pretext.losses.multi_scale import laplacian_bands as laplacian_bands
    from pretext.losses.multi_scale import laplacian_error as laplacian_error
    from pretext.losses.multi_scale import structure_error as structure_error
    from pretext.losses.reconstruction import check_loss as check_loss
    from pretext.losses.reconstruction import compose as compose
    from pretext.losses.reconstruction import sample_error as sample_error
    from pretext.losses.triple_coupled import triple_coupled_loss as triple_coupled_loss
    from pretext.losses.vicreg import off_diagonal_covariance as off_diagonal_covariance
    from pretext.losses.vicreg import spread_shortfall as spread_shortfall
    from pretext.losses.vicreg import vicreg_terms as vicreg_terms

# public name -> the module that holds it
PUBLIC_NAMES = {
    "MomentLosses": "pretext.losses.moment_matching",
    "Moments": "pretext.losses.moment_matching",
    "Variant": "pretext.losses.moment_matching",
    "check_loss": "pretext.losses.reconstruction",
    "compose": "pretext.losses.reconstruction",
    "discriminator_loss": "pretext.losses.adversarial",
    "fill_from_target": "pretext.losses.adversarial",
    "find_variant": "pretext.losses.moment_matching",
    "gaussian_likelihood": "pretext.losses.moment_matching",
    "generator_loss": "pretext.losses.adversarial",
    "laplace_likelihood": "pretext.losses.moment_matching",
    "laplacian_bands": "pretext.losses.multi_scale",
    "laplacian_error": "pretext.losses.multi_scale",
    "moment_losses": "pretext.losses.moment_matching",
    "off_diagonal_covariance": "pretext.losses.vicreg",
    "path_losses": "pretext.losses.latent_path",
    "real_fake_cross_entropy": "pretext.losses.adversarial",
    "sample_error": "pretext.losses.reconstruction",
    "sample_moments": "pretext.losses.moment_matching",
    "spread_shortfall": "pretext.losses.vicreg",
    "structure_error": "pretext.losses.multi_scale",
    "thin_gradient": "pretext.losses.moment_matching",
    "triple_coupled_loss": "pretext.losses.triple_coupled",
    "vicreg_terms": "pretext.losses.vicreg",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
