"""Encoders: those that ship with the package, and the files and cards of any encoder.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from pretext.pretrained.folder import save_encoder as save_encoder
    from pretext.runs.load_encoder import load_encoder as load_encoder

# public name -> the module that holds it
PUBLIC_NAMES = {
    "load_encoder": "pretext.runs.load_encoder",
    "save_encoder": "pretext.pretrained.folder",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
