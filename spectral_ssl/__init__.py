"""spectral-ssl: self-supervised features for images and for 3D shapes seen as spectral maps.

The verbs of the command line are functions here, with the same arguments::

    import spectral_ssl
    maps = spectral_ssl.prep(dataset="shapes")
    run = spectral_ssl.pretrain(data=maps)

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use, so that ``import
spectral_ssl`` and everything in ``spectral_ssl.ground`` stay free of torch.
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from data_prep.maps.reader import open_maps as open_maps
    from downstream.features.geometric import to_pyg as to_pyg
    from downstream.features.store import read_features as read_features
    from pretext.data.torch_dataset import MapDataset as MapDataset
    from pretext.runs.load_encoder import load as load
    from pretext.runs.trained_run import TrainedRun as TrainedRun
    from pretext.runs.trained_run import load_run as load_run
    from spectral_ssl.estimator import SpectralFeatures as SpectralFeatures
    from spectral_ssl.ground.errors import UserError as UserError
    from spectral_ssl.ground.progress import quiet as quiet
    from spectral_ssl.verbs.checks.doctor import doctor as doctor
    from spectral_ssl.verbs.checks.verify import verify as verify
    from spectral_ssl.verbs.complete import complete as complete
    from spectral_ssl.verbs.demo import demo as demo
    from spectral_ssl.verbs.estimates.prep import estimate_prep as estimate_prep
    from spectral_ssl.verbs.estimates.pretrain import estimate_pretrain as estimate_pretrain
    from spectral_ssl.verbs.evaluate import evaluate as evaluate
    from spectral_ssl.verbs.features.cluster import cluster as cluster
    from spectral_ssl.verbs.features.embed import embed as embed
    from spectral_ssl.verbs.features.export import export as export
    from spectral_ssl.verbs.features.export_encoder import export_encoder as export_encoder
    from spectral_ssl.verbs.features.neighbors import neighbors as neighbors
    from spectral_ssl.verbs.list_names import list_names as list_names
    from spectral_ssl.verbs.prep import prep as prep
    from spectral_ssl.verbs.pretrain import pretrain as pretrain
    from spectral_ssl.verbs.probe import probe as probe
    from spectral_ssl.verbs.runs.remove import remove_run as remove_run
    from spectral_ssl.verbs.runs.report import report as report
    from spectral_ssl.verbs.runs.show import compare_runs as compare_runs
    from spectral_ssl.verbs.runs.show import list_runs as list_runs
    from spectral_ssl.verbs.runs.show import show_run as show_run
    from spectral_ssl.verbs.runs.tensorboard import to_tensorboard as to_tensorboard
    from spectral_ssl.verbs.study.create import create_study as create_study
    from spectral_ssl.verbs.study.results import study_results as study_results
    from spectral_ssl.verbs.study.serve import serve_study as serve_study

__version__ = "0.1.0"

# verb -> the module of spectral_ssl.verbs that holds the function of the same name
VERBS = {
    "embed": "spectral_ssl.verbs.features.embed",
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
OTHER_NAMES = {
    "MapDataset": "pretext.data.torch_dataset",
    "SpectralFeatures": "spectral_ssl.estimator",
    "TrainedRun": "pretext.runs.trained_run",
    "UserError": "spectral_ssl.ground.errors",
    "compare_runs": "spectral_ssl.verbs.runs.show",
    "estimate_prep": "spectral_ssl.verbs.estimates.prep",
    "estimate_pretrain": "spectral_ssl.verbs.estimates.pretrain",
    "export_encoder": "spectral_ssl.verbs.features.export_encoder",
    "list_runs": "spectral_ssl.verbs.runs.show",
    "load": "pretext.runs.load_encoder",
    "load_run": "pretext.runs.trained_run",
    "open_maps": "data_prep.maps.reader",
    "quiet": "spectral_ssl.ground.progress",
    "read_features": "downstream.features.store",
    "remove_run": "spectral_ssl.verbs.runs.remove",
    "show_run": "spectral_ssl.verbs.runs.show",
    "to_pyg": "downstream.features.geometric",
    "to_tensorboard": "spectral_ssl.verbs.runs.tensorboard",
}
PUBLIC_NAMES = {**VERBS, **OTHER_NAMES}

__all__ = ["OTHER_NAMES", "PUBLIC_NAMES", "VERBS", "__version__", *PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
