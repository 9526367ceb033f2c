"""``demo``: everything once on the built-in data."""

from pathlib import Path
from typing import Any

from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.features.export import export
from spectral_ssl.verbs.prep import prep
from spectral_ssl.verbs.pretrain import pretrain
from spectral_ssl.verbs.probe import probe


def demo(*, workspace: str | Path | None = None, max_minutes: float = 1.5) -> dict[str, Any]:
    """Prepare the built-in shapes, pretrain cGML denoising on them, probe, export.

    Parameters
    ----------
    workspace : path, optional
        See ``Workspace.find``. ``maps/demo.h5`` of an earlier demo is replaced, runs are kept.
    max_minutes : float
        Most time for the training.

    Returns
    -------
    dict
        The probe's result, with ``paths`` of what was written.
    """
    place = Workspace.find(workspace)
    say("1 of 4: prep, shapes to spectral maps")
    maps = prep("shapes", out=place.root / "maps" / "demo.h5", workspace=place.root, overwrite=True)
    say("2 of 4: pretrain, cGML learns to recover damaged maps")
    run = pretrain(maps, recipe="quick", max_minutes=max_minutes, workspace=place.root)
    say("3 of 4: probe, what the features are worth")
    result = probe(maps, run=run, workspace=place.root)
    say("4 of 4: export, features to HDF5")
    features = export(run, data=maps, workspace=place.root, overwrite=True)
    paths = {
        "maps": str(maps.path),
        "run": str(run.folder),
        "answers": str(run.folder / "samples" / "answers.png"),
        "scores": result["path"],
        "report": str(run.folder / "report.html"),
        "features": str(features),
    }
    return {**result, "paths": paths}
