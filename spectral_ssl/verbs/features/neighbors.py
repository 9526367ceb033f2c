"""``neighbors``: find the objects of a data set whose features are most similar to those of one object."""

from collections.abc import Sequence
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
from downstream.features.cached import load_cached_features
from downstream.features.nearest import FEWEST_STANDARDISED, MEASURES, FeatureMetric, check_metric, find_nearest
from downstream.features.search_set import SearchSet, search_features, search_maps
from downstream.features.store import is_feature_file, read_features
from downstream.figures.predictions import draw_images
from downstream.figures.shapes import draw_shapes
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import ObjectError, UserError, find_near_name
from spectral_ssl.ground.files import expand_home, refuse_empty, refuse_existing
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import RunArgument, choose_run
from spectral_ssl.planning.inputs.feature_files import find_embedded, open_features_run
from spectral_ssl.planning.inputs.open_data import open_data

DRAWN = 8  # neighbours in the image
LONGEST_TITLE = 24  # characters
SIDE = 32  # cells of the grid on which shapes without points are drawn


def neighbors(
    query: str | Path,
    *,
    run: str | Path | TrainedRun | None = None,
    encoder: str | Path | TrainedRun | None = None,
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
    """Find the objects of a data set, of your files or of a feature file that are most similar to one object.

    Parameters
    ----------
    query : str or path
        The id of an object of the data; or any file with a mesh, a cloud or an image, which is
        prepared with the run's basis as ``prep`` does. An object of the data is not its own
        neighbour; nor is a file that was embedded, and a line says so.
    run : path, name or TrainedRun, optional
        The run: its folder, its name in the workspace, or the loaded run; the latest one by
        default.
    encoder : str, path or TrainedRun, optional
        An encoder instead of a run: a name of ``list encoders``, its folder, or ``hf:OWNER/NAME``;
        ``universe-upright`` by default if the workspace has no run.
    data : path, name or MapFile, optional
        The objects to search: a map file, a folder of your files, a data set, or a feature file of
        ``embed``. By default the data of the run; without a run the newest feature file of
        ``embed``, else the newest map file with the basis of the encoder, else the built-in shapes.
    count : int
        The number of neighbours.
    metric : {"cosine", "l2"}
        "cosine": the cosine similarity, where higher is nearer. "l2": the Euclidean distance, where
        lower is nearer. See ``downstream.features.nearest``. Fewer than 5 objects are too few to
        standardise features; a line says so.
    split : str, optional
        The split to search; all splits by default.
    layer : str
        The layer of the network, see ``list layers``.
    up : str, optional
        The up axis of the file, e.g. "+y"; that of the data's raw files by default.
    out : path, optional
        The PNG file to write, with the query and up to eight neighbours;
        ``RUN/samples/neighbors-QUERY.png`` by default (``WS/encoders/NAME/samples`` for encoders),
        where an earlier file is replaced.
    overwrite : bool
        Whether ``out`` may be replaced.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``. The features of the data are stored in
        ``WS/cache`` for later calls.

    Returns
    -------
    dict
        ``query``, ``known`` (whether it is an object of the data), ``run``, ``encoder``, ``data``,
        ``metric``, ``measure`` ("cosine similarity" or "l2 distance"), ``layer``, ``picture`` (None
        if the maps of a feature file are gone), and ``answers``:
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
    refuse_empty(query=query, data=data, out=out, run=run, encoder=encoder, workspace=workspace)
    check_metric(metric)  # fails before all features are computed
    home = Workspace.find(workspace)
    trained, searched = _open_set(data, run, encoder, layer, home, query)
    identity, file = _find_object(query, data, searched)
    name = identity or Path(query).name
    image = Path(out) if out else trained.folder / "samples" / f"neighbors-{_file_name(name)}.png"
    refuse_existing(image, overwrite or out is None)
    rows = searched.list_rows(split)
    query_row = list(searched.ids).index(identity) if identity else -1
    if identity:
        rows = _drop_query(rows, query_row, searched, split)
    if file is None:
        feature, single = searched.features[query_row], searched.read_object(query_row)
    else:
        single = _read_query(file, trained, searched, up)
        feature = trained.encode(single.values[None])[0]
    if metric == "cosine" and len(rows) < FEWEST_STANDARDISED:
        say(f"{len(rows)} object{'s' * (len(rows) != 1)} to search: too few to standardise features")
    nearest, values = find_nearest(feature, searched.features[rows], count, metric)
    found = rows[nearest].tolist()
    neighbours = [
        {"rank": rank, **searched.describe(row), MEASURES[metric]: round(float(value), 6)}
        for rank, (row, value) in enumerate(zip(found, values, strict=True), start=1)
    ]
    is_drawn = single is not None and _draw_nearest(
        image, {_shorten_title(name): single}, found[:DRAWN], searched, trained.basis
    )
    if not is_drawn:
        say(f"no image: the maps of {searched.path} are gone or have changed; embed the files again")
    return {
        "query": identity or str(query),
        "known": bool(identity),
        "run": str(trained.folder),
        "encoder": trained.name or None,
        "data": str(searched.path),
        "metric": metric,
        "measure": MEASURES[metric],
        "layer": trained.layer,
        "picture": str(image) if is_drawn else None,
        "answers": neighbours,
    }


def _open_set(
    data: str | Path | MapFile | None,
    run: RunArgument,
    encoder: RunArgument,
    layer: str,
    home: Workspace,
    query: str | Path,
) -> tuple[TrainedRun, SearchSet]:
    """Open the objects to search, and the run or the encoder that made, or makes, their features."""
    path = None if data is None or isinstance(data, MapFile) else expand_home(data)
    if data is None and run is None:
        encoder = None if encoder is None else choose_run(None, encoder, home)
        path = find_embedded(home, encoder)
    if path is None or not path.is_file() or not is_feature_file(path):
        trained = choose_run(run, encoder, home)
        trained = trained.at_layer(layer) if layer != DEFAULT else trained
        maps = open_data(data, trained, home)
        _check_query(query, maps.ids)  # fails before all features are computed
        return trained, search_maps(maps, load_cached_features(trained, maps, home.root / "cache"))
    stored = read_features(path)
    return open_features_run(path, stored, run, encoder, layer, home), search_features(path, stored)


def _drop_query(rows: NDArray[np.int64], query: int, searched: SearchSet, split: str | None) -> NDArray[np.int64]:
    """Drop the row of the query, and say so; raise a UserError if no other row is left."""
    others = rows[rows != query]
    if not len(others):
        where = f"{searched.path}" if split is None else f"split {split!r} of {searched.path}"
        raise UserError("no other object to search", f"only the query in {where}", "give more objects with --data")
    if len(others) < len(rows):
        say(f"the query {searched.ids[query]} is one of the objects: left out of its own neighbours")
    return others


def _find_object(query: str | Path, data: object, searched: SearchSet) -> tuple[str, Path | None]:
    """Return the id of the object that a query names, and the file whose features have to be computed.

    The id is empty for a file that is no object of the data. There is no file for an object whose
    stored features serve.
    """
    path, folder = expand_home(query), searched.folder
    if isinstance(data, str | Path) and expand_home(data).is_dir():
        folder = expand_home(data)
    identity = "" if folder is None else _name_in_folder(path, folder, searched.ids)
    if str(query) in searched.ids and identity != str(query):
        if folder is not None and path.is_file():
            say(f"{query} is taken for the object of {searched.path}; ./{query} is the file in the present folder")
        return str(query), None
    if not identity:
        return "", path
    # A map file of a folder has just been compared with the files in it. A feature file has not.
    if searched.folder is None or not path.is_file() or not _is_newer(path, searched.path):
        return identity, None
    say(f"{path} has changed since {searched.path} was written: its features are computed anew")
    return identity, path


def _is_newer(file: Path, features: Path) -> bool:
    """Tell whether a file was written, or came to its place, after its features were written."""
    status = file.stat()
    # A file that replaces another may keep an older time of its content (cp -p, mv, unzip).
    return max(status.st_mtime_ns, status.st_ctime_ns) > features.stat().st_mtime_ns


def _name_in_folder(path: Path, folder: Path, ids: Sequence[str]) -> str:
    """Return the id of a file that lies in the folder that is searched; empty for other files."""
    # A link below the folder is named by its own path; `..` and links above it are followed.
    for file, above in ((path.absolute(), folder.absolute()), (path.resolve(), folder.resolve())):
        if file.is_relative_to(above) and (identity := file.relative_to(above).as_posix()) in ids:
            return identity
    return ""


def _check_query(query: str | Path, ids: Sequence[str]) -> None:
    """Raise a UserError if a query is neither an id nor a file."""
    if expand_home(query).is_file() or str(query) in ids:
        return
    near = find_near_name(str(query), ids)
    hint = f"did you mean {near!r}? " if near else ""
    what_to_do = f"{hint}give an id, e.g. {ids[0]}, or a mesh, a cloud or an image"
    raise UserError("neither an object of the data nor a file", str(query), what_to_do)


def _read_query(path: Path, run: TrainedRun, searched: SearchSet, up: str | None) -> SingleMap:
    """Compute the map of a file that is no object of the data."""
    _check_query(path, searched.ids)
    data_up = str(searched.parts[0].fingerprint["up axis of the source"]) if searched.parts else "+z"
    if up is None and run.basis.kind != "pixels" and data_up != "+z":
        up = data_up or None
    return file_to_map(path, run.basis, up)


def _draw_nearest(
    path: Path, drawn: dict[str, SingleMap], rows: Sequence[int], searched: SearchSet, basis: Basis
) -> bool:
    """Draw the query and its nearest objects; return False if their maps are gone."""
    if not drawn:
        return False
    for rank, row in enumerate(rows, start=1):
        each = searched.read_object(row)
        if each is None:
            return False
        drawn[f"{rank}: {_shorten_title(searched.name_class(row) or searched.ids[row])}"] = each
    _draw(path, drawn, basis)
    return True


def _shorten_title(title: str) -> str:
    """Cut a long title, whose end tells files of one folder apart."""
    return title if len(title) <= LONGEST_TITLE else "..." + title[3 - LONGEST_TITLE :]


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
