"""Losses as importable units: plain functions of tensors, without networks.

=====================  ==========================================================================
``vicreg``             variance, invariance and covariance of two views (joint embedding)
``moment_matching``    mean and dispersion of several samples for one condition (MR-GAN)
``adversarial``        cross-entropy losses of a discriminator and of its generator
``triple_coupled``     three kinds of pairs that a discriminator tells apart (LSC-GAN)
``reconstruction``     weighted L1 or L2 error of each sample of a batch
``flow``               losses of cGML's latent optimiser along a path of latents
=====================  ==========================================================================
"""
