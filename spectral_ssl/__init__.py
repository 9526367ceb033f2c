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
VERBS = {
    "prep": "spectral_ssl.verbs.prep",
    "pretrain": "spectral_ssl.verbs.pretrain",
    "complete": "spectral_ssl.verbs.complete",
    "export": "spectral_ssl.verbs.features.export",
    "probe": "spectral_ssl.verbs.probe",
    "evaluate": "spectral_ssl.verbs.evaluate",
    "cluster": "spectral_ssl.verbs.features.cluster",
    "neighbors": "spectral_ssl.verbs.features.neighbors",
    "report": "spectral_ssl.verbs.runs.report",
    "list_names": "spectral_ssl.verbs.list_names",
    "verify": "spectral_ssl.verbs.checks.verify",
    "doctor": "spectral_ssl.verbs.checks.doctor",
    "demo": "spectral_ssl.verbs.demo",
    "create_study": "spectral_ssl.verbs.study.create",
    "serve_study": "spectral_ssl.verbs.study.serve",
    "study_results": "spectral_ssl.verbs.study.results",
}
# every other public name -> the module that holds it
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
    """Import a public name on its first use."""
    module = VERBS.get(name) or PARTS.get(name)
    if module is None:
        raise AttributeError(f"module 'spectral_ssl' has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    """List the public names, for completion in a shell."""
    return sorted(__all__)
