"""One line for each method and task, apart from their catalogues so that a list of them imports no torch."""

METHOD_DESCRIPTIONS: dict[str, str] = {
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
TASK_DESCRIPTIONS: dict[str, str] = {
    "alternate": "the hidden part of some targets has a white mark",
    "colorize": "lightness in, colours out (CIELAB)",
    "complete-shape": "one side of a shape's points is missing; predict the map of the whole shape",
    "corrupted": "some images are corrupted, and a part of the top half is hidden; recover it",
    "denoise": "a block or band of the map is hidden or noised; recover the map",
    "from-code": "from features (or a class, or noise alone) to an image or a spectral map",
    "inpaint": "a part of an image is hidden; predict it",
    "picture-views": "two altered copies of each image, for joint-embedding",
    "mask-shape": "a part of the map of an altered shape is hidden; predict the map",
    "mixture": "a point of eight Gaussians on a circle, from a condition without information",
    "super-resolve": "from a small image to one with four times as many rows and columns",
    "toy": "one number x with two solutions, y = +-4 (x, x^2, x^3)",
    "translate": "from one image of a pair to the other",
    "views": "two altered copies of each shape's points, for joint-embedding",
}
