"""cGML: conditional generation by learning how the latent moves."""
