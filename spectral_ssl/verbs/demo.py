"""``demo``: run prep, pretrain, export and probe once on the built-in data."""

from pathlib import Path
from typing import Any

from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.verbs.features.export import export
from spectral_ssl.verbs.prep import prep
from spectral_ssl.verbs.pretrain import train
from spectral_ssl.verbs.probe import probe


def demo(*, workspace: str | Path | None = None, max_minutes: float = 1.5) -> dict[str, Any]:
    """Prepare the built-in shapes, pretrain cGML denoising on them, export, probe.

    Parameters
    ----------
    workspace : path, optional
        The workspace folder, see ``Workspace.find``. ``maps/demo.h5`` of an earlier demo is
        replaced; its runs stay.
    max_minutes : float
        The longest time for the training; 0 for no limit.

    Returns
    -------
    dict
        The result of the probe, with the ``paths`` of all files.

    Raises
    ------
    UserError
        If ``max_minutes`` is no number, or negative; nothing is written then.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.demo(workspace=folder)
    >>> result["paths"]["features"].is_file()
    True
    """
    check_range("max_minutes", max_minutes, 0, 1e7)  # fails before the data is prepared
    root = Workspace.find(workspace).root
    say("1 of 4: prep, shapes to spectral maps")
    maps = prep("shapes", out=root / "maps" / "demo.h5", workspace=root, overwrite=True)
    say("2 of 4: pretrain, cGML learns to restore damaged maps")
    options = PretrainOptions(maps, recipe="quick", max_minutes=max_minutes, workspace=root)
    run = train(options, names_next=False)  # the next steps follow by themselves
    say("3 of 4: export, features to HDF5")
    features = export(run, data=maps, workspace=root, overwrite=True)
    say("4 of 4: probe, scores of the features")  # last: the command line prints its table at the end
    result = probe(maps, run=run, workspace=root)
    paths = {
        "maps": str(maps.path),
        "run": str(run.folder),
        "answers": str(run.folder / "samples" / "answers.png"),
        "scores": result["path"],
        "report": str(run.folder / "report.html"),
        "features": str(features),
    }
    return {**result, "paths": paths}
