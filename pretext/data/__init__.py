"""Map files as training data: batches, standardisation, splits, data sets of torch, augmentation.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from pretext.data.augment import SpectralAugment as SpectralAugment
    from pretext.data.batch import Batch as Batch
    from pretext.data.batch import Example as Example
    from pretext.data.batch import Problem as Problem
    from pretext.data.standardise import Standardiser as Standardiser
    from pretext.data.torch_dataset import MapDataset as MapDataset

# public name -> the module that holds it
PUBLIC_NAMES = {
    "Batch": "pretext.data.batch",
    "Example": "pretext.data.batch",
    "MapDataset": "pretext.data.torch_dataset",
    "Problem": "pretext.data.batch",
    "SpectralAugment": "pretext.data.augment",
    "Standardiser": "pretext.data.standardise",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
