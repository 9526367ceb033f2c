"""``demo``: embed the built-in shapes, find neighbours, score the features, and train the encoder on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from data_prep.source import Shape
from downstream.features.nearest import find_nearest
from downstream.features.store import read_features
from downstream.figures.shapes import draw_shapes
from downstream.probes.compared_features import TRAINED, is_training_free
from pretext.pretrained.find import DEFAULT_ENCODER
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import choose_run
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.verbs.features.embed import embed
from spectral_ssl.verbs.prep import prep
from spectral_ssl.verbs.pretrain import train
from spectral_ssl.verbs.probe import probe

CLASSES = ("chair", "lamp", "mug", "stairs")  # the neighbours of the first test shape of each are drawn
NEIGHBOURS = 5
PROBES = ("neighbours", "few-shot")  # both are fitted in seconds, the linear probe is not
LABELS = 5  # a class, in the sentence that ends the demo
EPOCHS = 16  # the learning rate falls to its end within the time limit on two quiet cores


def demo(
    *, workspace: str | Path | None = None, max_minutes: float = 0.5, encoder: str | Path | None = None
) -> dict[str, Any]:
    """Embed the built-in shapes with an encoder, find neighbours, probe the features, and train the encoder on.

    Parameters
    ----------
    workspace : path, optional
        The workspace folder, see ``Workspace.find``. ``maps/demo.h5`` and ``features/demo.h5`` of an
        earlier demo are replaced; its runs stay.
    max_minutes : float
        The longest time for the training; 0 for no limit.
    encoder : str or path, optional
        A name of ``list encoders``, the folder of an encoder, or ``hf:OWNER/NAME``;
        ``universe-upright`` by default. It must have the default basis of ``prep``.

    Returns
    -------
    dict
        The result of the last probe, with a row of the encoder before the training, the ``paths`` of
        all files, and ``result``, one sentence.

    Raises
    ------
    UserError
        If ``max_minutes`` is no number, or negative, or there is no such encoder; nothing is written
        then.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.demo(workspace=folder)
    >>> result["result"].startswith("With 5 labelled examples of each of the 12 classes")
    True
    """
    check_range("max_minutes", max_minutes, 0, 1e7)  # fails before the data is prepared
    home = Workspace.find(workspace)
    root, source = home.root, encoder or DEFAULT_ENCODER
    chosen = choose_run(None, source, home)
    say(f"1 of 4: embed, features of the built-in shapes by the encoder {chosen.name}; nothing is trained")
    maps = prep("shapes", out=root / "maps" / "demo.h5", workspace=root, overwrite=True)
    out = root / "features" / "demo.h5"
    embedded = embed(maps.path, encoder=source, out=out, overwrite=True, workspace=root)
    say(f"{embedded['objects']} shapes, {embedded['dimensions']} features each: {out}")
    say("2 of 4: neighbors, the most similar shapes")
    image = chosen.folder / "samples" / "demo-neighbors.png"
    with busy("image of the neighbours"):
        _draw_neighbours(image, maps, read_features(out).values)
    say(f"image: {image}")
    say("3 of 4: probe, classifiers on the features, next to baselines that need no training")
    before = probe(maps, encoder=source, probes=PROBES, seeds=1, has_untrained=False, report=False, workspace=root)
    say(_write_result(before, before, chosen.name))
    say("4 of 4: pretrain, the encoder learns from the training shapes without labels")
    options = PretrainOptions(maps, init_from=source, epochs=EPOCHS, max_minutes=max_minutes, workspace=root)
    run = train(options, names_next=False)  # the next step follows by itself
    after = probe(maps, run=run, probes=PROBES, seeds=1, workspace=root)
    paths = {
        "maps": str(maps.path),
        "features": str(out),
        "neighbors": str(image),
        "run": str(run.folder),
        "scores": after["path"],
        "report": str(run.folder / "report.html"),
    }
    rows = [*after["rows"][:-1], {**before["rows"][-1], "features": f"encoder {chosen.name}"}, after["rows"][-1]]
    return {**after, "rows": rows, "paths": paths, "result": _write_result(before, after, chosen.name)}


def _draw_neighbours(path: Path, maps: MapFile, features: NDArray[np.float32]) -> None:
    """Draw the first test shape of some classes, each with the shapes of the file that are most similar to it."""
    drawn = []
    for name in CLASSES:
        query = int(np.flatnonzero((maps.labels == maps.classes.index(name)) & (maps.splits == "test"))[0])
        others = np.delete(maps.rows(), query)
        nearest, _ = find_nearest(features[query], features[others], NEIGHBOURS)
        columns = {"shape": query} | {f"{rank}": int(row) for rank, row in enumerate(others[nearest], 1)}
        shapes = {
            title: Shape(maps.read_points(np.array([row]))[0].astype(np.float64)) for title, row in columns.items()
        }
        drawn.append((maps.ids[query], shapes))
    draw_shapes(path, drawn)


def _write_result(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> str:
    """Write in one sentence how often classifiers of a few labels are right, before and after the training.

    Parameters
    ----------
    before, after : dict
        The results of ``probe`` for the encoder and for the trained run; the same one twice before
        the training.
    name : str
        The name of the encoder.
    """
    labels = max(each["labels"] for each in after["rows"][-1]["few_shot"] if each["labels"] <= LABELS)
    rows = [*before["rows"], *after["rows"]]
    baselines = {row["features"]: _find_score(row, labels) for row in rows if is_training_free(row["features"])}
    best = max(baselines, key=lambda each: baselines[each])
    encoder, trained = (_find_score(_find_trained(table["rows"]), labels) for table in (before, after))
    sentence = (
        f"With {labels} labelled example{'s' * (labels > 1)} of each of the {after['classes']} classes, a classifier "
        f"on the features of {name} is right for {encoder:.1%} of {after['test']} held-out shapes. On the best "
        f"training-free baseline ({best}) it is right for {baselines[best]:.1%}"
    )
    return f"{sentence}." if after is before else f"{sentence}, on the encoder after this training for {trained:.1%}."


def _find_trained(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Find the row of the trained network."""
    return next(row for row in rows if row["features"] == TRAINED)


def _find_score(row: Mapping[str, Any], labels: int) -> float:
    """Find the mean accuracy of a row with so many labels of each class."""
    return float(next(each["mean"] for each in row["few_shot"] if each["labels"] == labels))
