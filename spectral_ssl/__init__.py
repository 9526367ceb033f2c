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
    "prep",
    "pretrain",
    "complete",
    "export",
    "probe",
    "evaluate",
    "cluster",
    "neighbors",
    "report",
    "list_names",
    "verify",
    "doctor",
    "demo",
    "create_study",
    "serve_study",
    "study_results",
)
# what else there is -> the module it lies in
PARTS = {
    "MapDataset": "pretext.data.torch_dataset",
    "SpectralFeatures": "spectral_ssl.estimator",
    "compare_runs": "spectral_ssl.verbs.runs.show",
    "estimate_prep": "spectral_ssl.verbs.estimates.prep",
    "estimate_pretrain": "spectral_ssl.verbs.estimates.pretrain",
    "export_encoder": "spectral_ssl.verbs.features.export_encoder",
    "list_runs": "spectral_ssl.verbs.runs.show",
    "load_run": "pretext.runs.trained_run",
    "open_maps": "data_prep.maps.reader",
    "quiet": "spectral_ssl.ground.progress",
    "remove_run": "spectral_ssl.verbs.runs.remove",
    "show_run": "spectral_ssl.verbs.runs.show",
    "to_tensorboard": "spectral_ssl.verbs.runs.tensorboard",
}

__all__ = ["PARTS", "VERBS", "__version__", *VERBS, *PARTS]  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name in VERBS:
        return getattr(import_module(f"spectral_ssl.verbs.{name}"), name)
    if name in PARTS:
        return getattr(import_module(PARTS[name]), name)
    raise AttributeError(f"module 'spectral_ssl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
