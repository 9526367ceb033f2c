"""``neighbors``: which objects of a data set a run finds most alike to one, known to it or not."""

from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import PAIR, Basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.single_file import SingleMap, file_to_map
from data_prep.source import Shape
from data_prep.transforms.inverse import reconstruct
from downstream.features.nearest import FeatureMetric, check_metric, find_nearest
from downstream.figures.predictions import draw_images
from downstream.figures.shapes import draw_shapes
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.folder import find_run_data
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.files import atomic_path, refuse_existing
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace

DRAWN = 8  # answers in the picture
SIDE = 32  # cells of the grid on which shapes without points are drawn


def neighbors(
    query: str | Path,
    *,
    run: str | Path | TrainedRun | None = None,
    data: str | Path | MapFile | None = None,
    count: int = 8,
    metric: FeatureMetric = "cosine",
    split: str | None = None,
    layer: str = DEFAULT,
    up: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Find the objects of a map file whose features are nearest to those of one object.

    Parameters
    ----------
    query : str or path
        The id of an object of the data (it is not among its own answers), or a file that the toolkit need never have
        seen: a mesh, a cloud or an image, which is prepared on the run's basis as ``prep`` would.
    run : path, name or TrainedRun, optional
        The latest run by default.
    data : path or MapFile, optional
        Where the answers are looked for; the map file the run was trained on by default.
    count : int
        Number of answers.
    metric : {"cosine", "l2"}
        See ``downstream.features.nearest``.
    split : str, optional
        Answers of this split only; of all by default.
    layer : str
        What of the network the features are, see ``list layers``.
    up : str, optional
        Up axis of the file, e.g. "+y"; that of the data's own files by default.
    out : path, optional
        PNG to write, of the query and up to eight answers; ``RUN/samples/neighbors-QUERY.png`` by default, where an
        earlier one is replaced.
    overwrite : bool
        Whether ``out`` may be replaced.
    workspace : path, optional
        See ``Workspace.find``. The data's features are kept in ``WS/cache``, so that the next question is answered at
        once.

    Returns
    -------
    dict
        ``query``, ``known`` (whether it is an object of the data), ``run``, ``data``, ``metric``, ``layer``,
        ``picture``, and ``answers``: dicts of ``rank``, ``id``, ``class``, ``split``, ``distance``, nearest first.

    Raises
    ------
    UserError
        When run or data are missing or do not fit each other, the query is neither an id nor a readable file, or the
        picture exists.
    """
    check_range("number of neighbours", count, 1, 1_000_000)
    check_metric(metric)  # before all features are computed
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    trained = trained.at_layer(layer) if layer != DEFAULT else trained
    maps = find_run_data(data, trained.plan)
    check_same_basis(trained.basis, maps)
    known = str(query) in maps.ids
    name = str(query) if known else Path(query).name
    picture = Path(out) if out else trained.folder / "samples" / f"neighbors-{_plain(name)}.png"
    refuse_existing(picture, overwrite or out is None)
    rows = _searched(maps, split)
    asked = None if known else _unseen(Path(query), trained, maps, up)
    features = _features(trained, maps, place)
    if asked is None:
        own = maps.ids.index(str(query))
        rows, feature, asked = rows[rows != own], features[own], _of_data(maps, own)
    else:
        feature = trained.encode(asked.values[None])[0]
    found, distances = find_nearest(feature, features[rows], count, metric)
    answers = [
        {
            "rank": rank + 1,
            "id": maps.ids[row],
            "class": maps.classes[maps.labels[row]] if maps.labels[row] >= 0 else None,
            "split": str(maps.splits[row]),
            "distance": round(float(distance), 6),
        }
        for rank, (row, distance) in enumerate(zip(rows[found], distances, strict=True))
    ]
    drawn = {name: asked}
    for answer, row in zip(answers[:DRAWN], rows[found][:DRAWN], strict=True):
        drawn[f"{answer['rank']}: {answer['class'] or answer['id']}"] = _of_data(maps, int(row))
    _draw(picture, drawn, trained.basis)
    return {
        "query": str(query),
        "known": known,
        "run": str(trained.folder),
        "data": str(maps.path),
        "metric": metric,
        "layer": layer,
        "picture": str(picture),
        "answers": answers,
    }


def _searched(maps: MapFile, split: str | None) -> NDArray[np.int64]:
    rows = maps.rows(split)
    if not len(rows):
        raise UserError(
            f"no samples in split {split!r}", str(maps.path), f"give one of: {', '.join(sorted(set(maps.splits)))}"
        )
    return rows


def _unseen(path: Path, run: TrainedRun, maps: MapFile, up: str | None) -> SingleMap:
    """The map of a file that is no object of the data."""
    if not path.is_file():
        near = get_close_matches(str(path), maps.ids, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        what_to_do = f"{hint}give an id, e.g. {maps.ids[0]}, or a mesh, a cloud or an image"
        raise UserError("neither an object of the data nor a file", str(path), what_to_do)
    own_up = str(maps.fingerprint["up axis of the source"])
    if up is None and run.basis.kind != "pixels" and own_up != "+z":
        up = own_up or None
    return file_to_map(path, run.basis, up)


def _features(run: TrainedRun, maps: MapFile, place: Workspace) -> NDArray[np.float32]:
    """The features (N, D) of all maps: those of an earlier question, or new ones, which are kept."""
    about = f"{run.checkpoint_digest} {maps.digest} {run.layer} {run.plan.to_toml()}"
    path = place.root / "cache" / f"features-{sha256(about.encode()).hexdigest()[:24]}.npy"
    if path.is_file():
        try:
            kept = np.load(path, allow_pickle=False)
            if kept.dtype == np.float32 and kept.ndim == 2 and len(kept) == len(maps):
                return np.asarray(kept)
        except (OSError, ValueError):
            pass  # damaged: made again
    say(f"features of all {len(maps)} objects, once for this run and data")
    features = run.encode_file(maps)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, features, allow_pickle=False)
    return features


def _of_data(maps: MapFile, row: int) -> SingleMap:
    rows = np.array([row])
    return SingleMap(maps.read(rows)[0], maps.read_points(rows)[0] if maps.has_points else None)


def _draw(picture: Path, objects: dict[str, SingleMap], basis: Basis) -> None:
    """The objects in one row under their titles: images as they are, shapes as clouds or as what their maps hold."""
    if basis.kind == "pixels":
        columns = [torch.from_numpy(_one_image(each.values, basis))[None] for each in objects.values()]
        draw_images(picture, list(objects), columns, [""])
        return
    looks = {}
    for title, each in objects.items():
        try:
            points = each.cloud
            looks[title] = reconstruct(each.values, basis, SIDE) if points is None else Shape(points.astype(np.float64))
        except ObjectError:
            continue  # a map that describes no surface; its place stays empty
    draw_shapes(picture, [("", looks)])


def _one_image(values: NDArray[np.float32], basis: Basis) -> NDArray[np.float32]:
    """What is shown of an image (C, H, W): of a pair the left one, of neither 1 nor 3 channels the first."""
    channels = len(values) // 2 if basis.layout == PAIR else len(values)
    return values[:channels] if channels in (1, 3) else values[:1]


def _plain(name: str) -> str:
    """A name for a file: ids may hold folders."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)[-100:]
