"""``neighbors``: find the objects of a data set whose features are most similar to those of one object."""

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
from downstream.features.nearest import MEASURES, FeatureMetric, check_metric, find_nearest
from downstream.figures.predictions import draw_images
from downstream.figures.shapes import draw_shapes
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.folder import find_run_data
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import ObjectError, UserError, find_near_name
from spectral_ssl.ground.files import atomic_path, refuse_existing
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.workspace import Workspace

DRAWN = 8  # neighbours in the image
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
        The id of an object of the data, which is not its own neighbour; or any file with a mesh, a
        cloud or an image, which is prepared with the run's basis as ``prep`` does.
    run : path, name or TrainedRun, optional
        The run: its folder, its name in the workspace, or the loaded run; the latest one by
        default.
    data : path or MapFile, optional
        The map file to search; the one that the run was trained on by default.
    count : int
        The number of neighbours.
    metric : {"cosine", "l2"}
        "cosine": the cosine similarity, where higher is nearer. "l2": the Euclidean distance, where
        lower is nearer. See ``downstream.features.nearest``.
    split : str, optional
        The split to search; all splits by default.
    layer : str
        The layer of the network, see ``list layers``.
    up : str, optional
        The up axis of the file, e.g. "+y"; that of the data's raw files by default.
    out : path, optional
        The PNG file to write, with the query and up to eight neighbours;
        ``RUN/samples/neighbors-QUERY.png`` by default, where an earlier file is replaced.
    overwrite : bool
        Whether ``out`` may be replaced.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``. The features of the data are stored in
        ``WS/cache`` for later calls.

    Returns
    -------
    dict
        ``query``, ``known`` (whether it is an object of the data), ``run``, ``data``, ``metric``,
        ``measure`` ("cosine similarity" or "l2 distance"), ``layer``, ``picture``, and ``answers``:
        dicts of ``rank``, ``id``, ``class``, ``split`` and the value under the name of the measure,
        nearest first.

    Raises
    ------
    UserError
        When run or data are missing or do not fit each other, the query is neither an id nor a
        readable file, or the image exists.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.neighbors(maps.ids[0], run=run, count=3, out=folder / "neighbors.png")
    >>> [nearest["rank"] for nearest in result["answers"]]
    [1, 2, 3]
    """
    check_range("number of neighbours", count, 1, 1_000_000)
    check_metric(metric)  # fails before all features are computed
    home = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(home.find_run(run))
    trained = trained.at_layer(layer) if layer != DEFAULT else trained
    maps = find_run_data(data, trained.plan)
    check_same_basis(trained.basis, maps)
    is_known = str(query) in maps.ids
    name = str(query) if is_known else Path(query).name
    image = Path(out) if out else trained.folder / "samples" / f"neighbors-{_file_name(name)}.png"
    refuse_existing(image, overwrite or out is None)
    rows = _find_rows(maps, split)
    single = None if is_known else _read_query(Path(query), trained, maps, up)
    features = _load_features(trained, maps, home)
    if single is None:
        query_row = maps.ids.index(str(query))
        rows, feature, single = rows[rows != query_row], features[query_row], _read_object(maps, query_row)
    else:
        feature = trained.encode(single.values[None])[0]
    nearest, values = find_nearest(feature, features[rows], count, metric)
    neighbours = [
        {
            "rank": rank + 1,
            "id": maps.ids[row],
            "class": maps.classes[maps.labels[row]] if maps.labels[row] >= 0 else None,
            "split": str(maps.splits[row]),
            MEASURES[metric]: round(float(value), 6),
        }
        for rank, (row, value) in enumerate(zip(rows[nearest], values, strict=True))
    ]
    drawn = {name: single}
    for neighbour, row in zip(neighbours[:DRAWN], rows[nearest][:DRAWN], strict=True):
        drawn[f"{neighbour['rank']}: {neighbour['class'] or neighbour['id']}"] = _read_object(maps, int(row))
    _draw(image, drawn, trained.basis)
    return {
        "query": str(query),
        "known": is_known,
        "run": str(trained.folder),
        "data": str(maps.path),
        "metric": metric,
        "measure": MEASURES[metric],
        "layer": layer,
        "picture": str(image),
        "answers": neighbours,
    }


def _find_rows(maps: MapFile, split: str | None) -> NDArray[np.int64]:
    """Return the rows to search; raise a UserError if there are none."""
    rows = maps.rows(split)
    if not len(rows):
        raise UserError(
            f"no samples in split {split!r}", str(maps.path), f"give one of: {', '.join(sorted(set(maps.splits)))}"
        )
    return rows


def _read_query(path: Path, run: TrainedRun, maps: MapFile, up: str | None) -> SingleMap:
    """Compute the map of a file that is no object of the data."""
    if not path.is_file():
        near = find_near_name(str(path), maps.ids)
        hint = f"did you mean {near!r}? " if near else ""
        what_to_do = f"{hint}give an id, e.g. {maps.ids[0]}, or a mesh, a cloud or an image"
        raise UserError("neither an object of the data nor a file", str(path), what_to_do)
    data_up = str(maps.fingerprint["up axis of the source"])
    if up is None and run.basis.kind != "pixels" and data_up != "+z":
        up = data_up or None
    return file_to_map(path, run.basis, up)


def _load_features(run: TrainedRun, maps: MapFile, workspace: Workspace) -> NDArray[np.float32]:
    """Load the features (N, D) of all maps from the cache, or compute and store them."""
    about = f"{run.checkpoint_digest} {maps.digest} {run.layer} {run.plan.to_toml()}"
    path = workspace.root / "cache" / f"features-{sha256(about.encode()).hexdigest()[:24]}.npy"
    if path.is_file():
        try:
            stored = np.load(path, allow_pickle=False)
            if stored.dtype == np.float32 and stored.ndim == 2 and len(stored) == len(maps):
                return np.asarray(stored)
        except (OSError, ValueError):
            pass  # damaged: computed again
    say(f"computing the features of all {len(maps)} objects, once for this run and data")
    with busy("features"):
        features = run.encode_file(maps)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, features, allow_pickle=False)
    return features


def _read_object(maps: MapFile, row: int) -> SingleMap:
    """Read the map of one object, with its cloud if the file holds it."""
    rows = np.array([row])
    return SingleMap(maps.read(rows)[0], maps.read_points(rows)[0] if maps.has_points else None)


def _draw(path: Path, objects: dict[str, SingleMap], basis: Basis) -> None:
    """Draw objects in one row under their titles; shapes as clouds, or else as the shapes that their maps describe."""
    if basis.kind == "pixels":
        columns = [torch.from_numpy(_select_image(each.values, basis))[None] for each in objects.values()]
        draw_images(path, list(objects), columns, [""])
        return
    shapes = {}
    for title, each in objects.items():
        try:
            points = each.cloud
            shapes[title] = (
                reconstruct(each.values, basis, SIDE) if points is None else Shape(points.astype(np.float64))
            )
        except ObjectError:
            continue  # the map describes no surface: its column stays empty
    draw_shapes(path, [("", shapes)])


def _select_image(values: NDArray[np.float32], basis: Basis) -> NDArray[np.float32]:
    """Select the channels of an image (C, H, W) to show: the left image of a pair; else the first of many channels."""
    channels = len(values) // 2 if basis.layout == PAIR else len(values)
    return values[:channels] if channels in (1, 3) else values[:1]


def _file_name(name: str) -> str:
    """Make a file name of an id, which may hold folders."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)[-100:]
