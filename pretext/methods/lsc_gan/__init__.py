"""The latent-space-conditioned GAN."""
