"""Pretext methods, one file or folder each; ``catalogue`` lists them."""

# a line for each, here and not in the catalogue so that a list of them imports no torch
DESCRIPTIONS: dict[str, str] = {
    "bicycle-gan": "a conditional GAN whose latent can be recovered from its predictions (NeurIPS 2017)",
    "cgml": "conditional generation by learning how the latent moves (ICLR 2021)",
    "regression": "the same networks on the L1 or L2 error alone",
    "context-encoder": "the same networks, L2 and an adversary (Pathak et al. 2016)",
    "joint-embedding": "two views of an object get the same features (VICReg, 2022)",
    "joint-cgml": "cGML and joint embedding on one encoder",
    "lsc-gan": "a GAN conditioned on features, trained on pairs of near and far neighbours (VISAPP 2021)",
    "mr-gan": "a conditional GAN whose samples match moments (ICLR 2019)",
    "pix2pix": "a conditional GAN with noise and L1 (Isola et al. 2017)",
    "rotation-prediction": "features from classifying the rotation of an image (RotNet, 2018)",
}
