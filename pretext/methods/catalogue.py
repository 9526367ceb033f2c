"""The list of pretext methods.

To add a method, write a file in this folder with a frozen config dataclass and an ``nn.Module``
that follows ``pretext.method``. Then add a line to ``METHODS`` and one
to ``DESCRIPTIONS`` in ``__init__.py``.
"""

from dataclasses import dataclass

from torch import nn

from pretext.methods import DESCRIPTIONS
from pretext.methods.bicycle_gan import BicycleGAN, BicycleGANConfig
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.methods.context_encoder import ContextEncoder, ContextEncoderConfig
from pretext.methods.joint_cgml import JointCGML, JointCGMLConfig
from pretext.methods.joint_embedding import JointEmbedding, JointEmbeddingConfig
from pretext.methods.lsc_gan.config import LSCGANConfig
from pretext.methods.lsc_gan.model import LSCGAN
from pretext.methods.mr_gan.config import MRGANConfig
from pretext.methods.mr_gan.model import MRGAN
from pretext.methods.pix2pix import Pix2Pix, Pix2PixConfig
from pretext.methods.regression import Regression, RegressionConfig
from pretext.methods.rotation_prediction import RotationPrediction, RotationPredictionConfig
from spectral_ssl.ground.errors import unknown_name


@dataclass(frozen=True)
class MethodEntry:
    """One method of the list.

    Attributes
    ----------
    config : type
        Dataclass of its settings.
    build : type
        Class of the method, constructed from (config, problem).
    description : str
        One line for `spectral-ssl list methods`.
    task : str
        Task that is trained on if none is named.
    reads_codes : bool
        Whether the method can be trained on a task whose conditions are codes.
    """

    config: type
    build: type[nn.Module]
    description: str
    task: str = "denoise"
    reads_codes: bool = False


METHODS: dict[str, MethodEntry] = {
    "bicycle-gan": MethodEntry(
        BicycleGANConfig,
        BicycleGAN,
        DESCRIPTIONS["bicycle-gan"],
    ),
    "cgml": MethodEntry(CGMLConfig, CGML, DESCRIPTIONS["cgml"]),
    "regression": MethodEntry(RegressionConfig, Regression, DESCRIPTIONS["regression"]),
    "context-encoder": MethodEntry(ContextEncoderConfig, ContextEncoder, DESCRIPTIONS["context-encoder"]),
    "joint-embedding": MethodEntry(
        JointEmbeddingConfig,
        JointEmbedding,
        DESCRIPTIONS["joint-embedding"],
    ),
    "joint-cgml": MethodEntry(JointCGMLConfig, JointCGML, DESCRIPTIONS["joint-cgml"]),
    "lsc-gan": MethodEntry(
        LSCGANConfig,
        LSCGAN,
        DESCRIPTIONS["lsc-gan"],
        "from-code",
        reads_codes=True,
    ),
    "mr-gan": MethodEntry(MRGANConfig, MRGAN, DESCRIPTIONS["mr-gan"]),
    "pix2pix": MethodEntry(Pix2PixConfig, Pix2Pix, DESCRIPTIONS["pix2pix"]),
    "rotation-prediction": MethodEntry(
        RotationPredictionConfig,
        RotationPrediction,
        DESCRIPTIONS["rotation-prediction"],
        "from-code",
        reads_codes=True,
    ),
}


def find_method(name: str) -> MethodEntry:
    """Find a method by its name.

    Raises
    ------
    UserError
        If there is no method of that name.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
