"""spectral-ssl: self-supervised features for images and for 3D shapes seen as spectral maps.

The verbs of the command line are functions here, with the same arguments::

    import spectral_ssl
    maps = spectral_ssl.prep(dataset="shapes")
    run = spectral_ssl.pretrain(data=maps)

They are loaded on first use, so that ``import spectral_ssl`` and everything in ``spectral_ssl.ground``
stay free of torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# verb -> the module of spectral_ssl.verbs that holds the function of the same name
VERBS = (
    "prep", "pretrain", "complete", "export", "probe", "evaluate", "cluster", "list_names", "verify", "demo",
    "create_study", "serve_study", "study_results",
)  # fmt: skip

__all__ = ["VERBS", "__version__", *VERBS]  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name in VERBS:
        return getattr(import_module(f"spectral_ssl.verbs.{name}"), name)
    raise AttributeError(f"module 'spectral_ssl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
