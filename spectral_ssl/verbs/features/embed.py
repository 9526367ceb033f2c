"""``embed``: features of files, folders and map files in one step, by an encoder that ships with the package."""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.prepare import AllFailed
from data_prep.pipeline.remarks import describe_failures
from downstream.features.export import describe_features
from downstream.features.formats import ENDINGS, choose_format, import_pyarrow, write_features_as
from downstream.features.store import Features, write_feature_blocks
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.inputs import require_finite
from pretext.runs.origin import name_option
from pretext.runs.source_weights import name_weights
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import expand_home, refuse_empty, refuse_existing
from spectral_ssl.ground.progress import progress, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import choose_run
from spectral_ssl.planning.inputs.open_data import (
    SHOW_ALL,
    check_path,
    is_dataset,
    is_map_file,
    name_paths,
    open_data,
    prepare_files,
)
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.run_options import EmbedOptions

Failures = tuple[tuple[str, str], ...]


@takes_options(EmbedOptions)
def embed(options: EmbedOptions) -> dict[str, Any]:
    """Compute the features of meshes, clouds or images: files, folders of them, and map files.

    Files that cannot be used are failures with a reason; the others are encoded. The maps of files
    and folders stay in ``WS/cache``, so that a second call is fast.

    Returns
    -------
    dict
        ``path`` (the feature file, see docs/file-formats.md), ``encoder``, ``option`` (which loads
        the encoder again), ``digest`` of its weights, ``format``, ``objects``, ``dimensions``,
        ``labelled`` (the number of objects with a label), ``classes`` (the number of their classes),
        ``first`` (the id of an object), ``maps`` (the map files) and ``failures``, a list of
        (id, reason).

    Raises
    ------
    UserError
        When a path does not exist, no file can be used, there is no such encoder, or the output
        exists; nothing is written then.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.embed(maps.path, run=run, out=folder / "features.h5")
    >>> spectral_ssl.read_features(result["path"]).values.shape
    (64, 128)
    """
    paths = _list_paths(options.paths)
    workspace = Workspace.find(options.workspace)
    kind = choose_format(options.out, options.format, ENDINGS, "hdf5")
    out = Path(options.out) if options.out else workspace.root / "features" / f"{name_paths(paths)}{ENDINGS[kind]}"
    refuse_existing(out, options.overwrite)  # fails before the work; checked again when the file is renamed
    if kind == "parquet":
        import_pyarrow()
    run = choose_run(options.run, options.encoder, workspace, prefers_encoder=True)
    run = run.at_layer(options.layer) if options.layer != DEFAULT else run
    parts, unreadable = _open_parts(paths, run, workspace, options)
    features = _describe(run, parts, _find_folder(paths, parts), unreadable)
    if kind == "hdf5":
        write_feature_blocks(out, features, _encode(run, parts), overwrite=options.overwrite)
    else:
        values = np.concatenate(list(_encode(run, parts)))
        write_features_as(out, replace(features, values=values), kind, overwrite=options.overwrite)
    return {
        "path": str(out),
        "encoder": features.about["encoder"],
        "option": features.about["option"],
        "digest": run.checkpoint_digest,
        "format": kind,
        "objects": len(features.ids),
        "dimensions": run.encode(np.zeros((1, *run.basis.shape), np.float32)).shape[1],
        "labelled": int((features.labels >= 0).sum()),
        "classes": len(np.unique(features.labels[features.labels >= 0])),
        "first": features.ids[0],
        "maps": [str(maps.path) for maps in parts],
        "failures": [list(pair) for pair in features.failures],
    }


def _list_paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the paths as a list; raise a UserError if one is empty or does not exist."""
    listed = [given] if isinstance(given, str | Path) else list(given)
    for path in listed:
        refuse_empty(paths=path)
    paths = [Path(path) for path in listed]
    if not paths:
        raise UserError("nothing to embed", "no path", "give files, folders or map files")
    for path in paths:
        check_path(path)
    return paths


def _open_parts(
    paths: Sequence[Path], run: TrainedRun, workspace: Workspace, options: EmbedOptions
) -> tuple[list[MapFile], Failures]:
    """Open the map files among the paths and the data sets, and prepare all other files and folders together.

    The second value lists the map files that cannot be read, and why.
    """
    opened = [path for path in paths if is_map_file(path) or is_dataset(path)]
    raw = [path for path in paths if path not in opened]
    first: dict[Path, Path] = {}
    for path in opened:
        first.setdefault(expand_home(path).absolute(), path)
    failures: list[tuple[str, str]] = []
    for path in [path for path in first.values() if is_map_file(path)]:
        try:
            maps = open_maps(expand_home(path))
        except UserError as error:
            del first[expand_home(path).absolute()]
            if not first and not raw:  # no other path is left
                raise
            failures.append((path.name, f"{error.what}; {error.do}"))
        else:
            check_same_basis(run.basis, maps)  # fails before files are prepared
    for line in describe_failures(failures, SHOW_ALL):
        say(line)
    parts = [open_data(path, run, workspace) for path in first.values()]
    if raw:
        try:
            parts.append(prepare_files(raw, run.basis, workspace, up=options.up, workers=options.workers))
        except AllFailed as error:
            if not parts:
                raise
            lost = [(path.name, f"{error.what}, {error.got}") for path in raw]
            for line in describe_failures(lost, SHOW_ALL):
                say(line)
            failures += lost
    elif options.up is not None:
        raise UserError("--up is for files and folders", options.up, "leave it out: the maps are prepared already")
    return parts, tuple(failures)


def _find_folder(paths: Sequence[Path], parts: Sequence[MapFile]) -> str:
    """Find the folder below which all ids are paths of embedded files; empty if there is none."""
    whole = [expand_home(path).absolute() for path in paths]
    if len(whole) == 1 and whole[0].is_dir():
        return str(whole[0])
    if len(parts) != 1:
        return ""
    whole = [Path(os.path.normpath(path)) for path in whole]
    above, given = Path(os.path.commonpath([path.parent for path in whole])), set(whole)
    # Files of different folders have their bare names as ids: these could be other files of `above`.
    are_below = all(not given.isdisjoint((above / name, *(above / name).parents)) for name in parts[0].ids)
    return str(above) if are_below else ""


def _describe(run: TrainedRun, parts: Sequence[MapFile], folder: str, unreadable: Failures) -> Features:
    """Describe the features of several map files together, without their values."""
    each = [describe_features(run, maps) for maps in parts]
    about = {
        **each[0].about,
        "source": ", ".join(features.about["source"] for features in each),
        "encoder": run.name or run.folder.name,
        "option": shlex.join([name_option(run)[0], name_weights(run)]),
        "folder": folder,
        "maps": json.dumps([[str(maps.path.resolve()), maps.digest] for maps in parts]),
    }
    if len(parts) == 1:
        return replace(each[0], about=about, failures=(*parts[0].failures, *unreadable))
    about["data_digest"] = sha256("".join(maps.digest for maps in parts).encode()).hexdigest()
    names = _name_rows(parts)
    classes = tuple(dict.fromkeys(name for features in each for name in features.classes))
    labels = [
        np.array([-1 if label < 0 else classes.index(features.classes[label]) for label in features.labels], np.int64)
        for features in each
    ]
    return Features(
        values=each[0].values,
        ids=[identity for ids, _ in names for identity in ids],
        labels=np.concatenate(labels),
        splits=np.concatenate([features.splits for features in each]),
        classes=classes,
        about=about,
        failures=(*(failure for _, failures in names for failure in failures), *unreadable),
    )


def _name_rows(parts: Sequence[MapFile]) -> list[tuple[list[str], list[tuple[str, str]]]]:
    """Return unique ids, and failures, of each map file: they begin with a name of the file if ids are repeated."""
    prefixes = _name_files([maps.path for maps in parts])
    ids = [set(maps.ids) for maps in parts]
    short = [
        "" if all(mine.isdisjoint(other) for other in ids if other is not mine) else prefix
        for mine, prefix in zip(ids, prefixes, strict=True)
    ]
    whole = [prefix + identity for prefix, mine in zip(short, ids, strict=True) for identity in mine]
    chosen = short if len(set(whole)) == len(whole) else prefixes
    return [
        ([prefix + each for each in maps.ids], [(prefix + each, reason) for each, reason in maps.failures])
        for prefix, maps in zip(chosen, parts, strict=True)
    ]


def _name_files(paths: Sequence[Path]) -> list[str]:
    """Return the ends of the paths that tell the files apart, as prefixes: names without endings if they do."""
    whole = [expand_home(path).absolute() for path in paths]
    stems = [path.with_suffix("") for path in whole]
    named = stems if len(set(stems)) == len(stems) else whole
    for depth in range(1, max(len(path.parts) for path in named)):
        prefixes = ["/".join(path.parts[1:][-depth:]) + "/" for path in named]
        if len(set(prefixes)) == len(prefixes):
            break
    return prefixes


def _encode(run: TrainedRun, parts: Sequence[MapFile]) -> Iterator[NDArray[np.float32]]:
    """Yield the features of all maps block by block, with a progress line."""
    with progress("features", sum(map(len, parts))) as advance:
        for maps in parts:
            done = 0
            for block in run.encode_blocks(maps):
                yield require_finite(block, maps.ids[done : done + len(block)])
                done += len(block)
                advance(len(block))
