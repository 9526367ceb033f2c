"""``runs list``, ``show``, ``compare``: describe runs by the small files in their folders, without loading torch."""

from collections.abc import Sequence
from json import loads
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from spectral_ssl.ground.config import bare_key, flatten, read_toml
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file
from spectral_ssl.ground.run_folder import WHITENING_FILE, digest_features, read_metrics, read_status
from spectral_ssl.ground.workspace import Workspace

NOT_COMPARED = ("epoch", "step", "seconds")


def show_run(run: str | Path | None = None, *, workspace: str | Path | None = None) -> dict[str, Any]:
    """Summarise the files of a run.

    Parameters
    ----------
    run : path or str, optional
        The run folder, or its name in the workspace; the latest run by default.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    dict
        ``name``, ``folder``, ``state`` (running, finished, stopped, failed, killed or unknown),
        ``method``, ``task``, ``data``, ``init_from`` (the weights at the start, if they were not
        random), ``whitened`` (whether its features are), ``epoch`` and ``epochs``, ``step``, ``minutes`` of training,
        ``megabytes`` on the disk; ``settings`` (section to key to value), ``metrics`` (the last
        value of each, numbers), ``probes`` (file to features to mean score of the linear probe),
        ``verdicts`` (file to what the probe shows about the trained network, in one sentence),
        ``outdated`` (names of the probes of an earlier checkpoint),
        ``environment`` (commit, python, torch, cores).

    Raises
    ------
    UserError
        When there is no such run, or its config is damaged.

    Examples
    --------
    >>> import spectral_ssl
    >>> summary = spectral_ssl.show_run(run.folder)
    >>> summary["state"], summary["method"], summary["epoch"]
    ('finished', 'regression', 2)
    """
    folder = Workspace.find(workspace).find_run(run)
    path = folder / "config.toml"
    try:
        settings = read_toml(path)
        about = settings.pop("run")
        described = {name: str(about[name]) for name in ("method", "task", "data")}
        described["init_from"] = str(about.get("init_from", ""))
    except (OSError, ValueError, KeyError, UserError) as error:
        raise UserError("not a run folder", f"{folder} ({error})", "see `spectral-ssl list runs`") from error
    status = _read_json(folder / "status.json")
    rows = read_metrics(folder / "metrics.jsonl")
    sizes = [_size(file) for file in folder.rglob("*")]
    return {
        "name": folder.name,
        "folder": str(folder),
        "state": read_status(folder)["state"],
        **described,
        "whitened": _is_whitened(folder),
        "epoch": status.get("epoch", 0),
        "epochs": settings.get("train", {}).get("epochs"),
        "step": status.get("step", 0),
        "minutes": round(rows[-1].get("seconds", 0) / 60, 2) if rows else None,
        "megabytes": round(sum(sizes) / 1e6, 1),
        "settings": {section: _flatten_to_bare_keys(values) for section, values in settings.items()},
        "metrics": {name: value for row in rows for name, value in row.items() if name not in NOT_COMPARED},
        "probes": {path.stem: _scores(path) for path in sorted(folder.glob("probe-*.json"))},
        "verdicts": _read_verdicts(folder),
        "outdated": _list_outdated(folder),
        "environment": _environment(folder),
    }


def _size(file: Path) -> int:
    """Return the bytes of a file; 0 if it is gone, because a run in training renames temporary files."""
    try:
        return file.stat().st_size if file.is_file() and not file.is_symlink() else 0
    except FileNotFoundError:
        return 0


def compare_runs(runs: Sequence[str | Path], *, workspace: str | Path | None = None) -> dict[str, Any]:
    """Compare runs: the settings that differ, the last metrics, the probes.

    Parameters
    ----------
    runs : sequence of path or str
        The runs, at least two, as for ``show_run``.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    dict
        ``runs`` (names); ``settings`` (only those that differ), ``metrics``, ``probes`` and
        ``verdicts``: each a dict of name -> list with one value for each run, None if a run has no
        value; ``outdated``: for each run, the names of its probes of an earlier checkpoint.

    Raises
    ------
    UserError
        When there are fewer than two runs, or one is no run.

    Examples
    --------
    >>> import spectral_ssl
    >>> second = spectral_ssl.pretrain(
    ...     maps, method="regression", epochs=0, settings=("width=2", "code=8"), report=False
    ... )

    >>> spectral_ssl.compare_runs([run.folder, second.folder])["settings"]["method.width"]
    [4, 2]
    """
    if len(runs) < 2:
        raise UserError("runs to compare", len(runs), "give at least two")
    shown = [show_run(run, workspace=workspace) for run in runs]
    settings = [
        {name: run[name] for name in ("method", "task", "data", "state")}
        | {f"{section}.{key}": value for section, part in run["settings"].items() for key, value in part.items()}
        for run in shown
    ]
    extents = [{name: run[name] for name in ("epoch", "step", "minutes")} for run in shown]
    probes = [
        {f"{probe}: {features}": score for probe, scores in run["probes"].items() for features, score in scores.items()}
        for run in shown
    ]
    side_by_side = _side_by_side(settings)
    return {
        "runs": [run["name"] for run in shown],
        "settings": {name: values for name, values in side_by_side.items() if any(v != values[0] for v in values)},
        "metrics": _side_by_side([{**extent, **run["metrics"]} for extent, run in zip(extents, shown, strict=True)]),
        "probes": _side_by_side(probes),
        "verdicts": _side_by_side([run["verdicts"] for run in shown]),
        "outdated": [run["outdated"] for run in shown],
    }


def list_runs(*, workspace: str | Path | None = None) -> dict[str, str]:
    """List the runs of a workspace by name, with a line about each: method, task, data, progress and state.

    Examples
    --------
    >>> import spectral_ssl
    >>> spectral_ssl.list_runs()[run.folder.name]
    'regression on denoise, stripes.h5, 2 of 2 epochs, finished; ...'
    """
    return {folder.name: _describe(folder) for folder in Workspace.find(workspace).runs()}


def tabulate_runs(workspace: str | Path | None = None) -> list[tuple[str, str, str, str, str]]:
    """Make a row for each run of a workspace: name, training, epochs, state, and the score of its newest probe.

    The score is that of the linear probe on the trained network's features, or of the neighbours if there is no
    linear probe, with the name of the probed maps. It is empty before the first probe.
    """
    rows = []
    for folder in Workspace.find(workspace).runs():
        training, progress, state = _describe_in_parts(folder)
        newest = max(folder.glob("probe-*.json"), key=_find_time, default=None)
        score = _scores(newest).get("trained network") if newest is not None else None
        found = ""
        if newest is not None and score is not None:
            is_old = newest.stem in _list_outdated(folder)
            found = f"{score:.3f} {newest.stem.removeprefix('probe-')}{', earlier checkpoint' * is_old}"
        rows.append((folder.name, training, progress, state, found))
    return rows


def _find_time(path: Path) -> float:
    """Find when a file was written; 0 if it has vanished."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _describe(folder: Path) -> str:
    """Describe a run in one line."""
    training, progress, state = _describe_in_parts(folder)
    parts = (part for part in (training, f"{progress} epochs" if progress else "", state) if part)
    return f"{', '.join(parts)}; {folder}"


def _describe_in_parts(folder: Path) -> tuple[str, str, str]:
    """Describe a run: what is trained on what, how many of how many epochs, and its state."""
    try:
        settings = read_toml(folder / "config.toml")
    except (OSError, ValueError, UserError):
        return "", "", "unreadable"
    run, status = settings.get("run", {}), _read_json(folder / "status.json")
    training = f"{run.get('method')} on {run.get('task')}, {Path(str(run.get('data'))).name}"
    progress = f"{status.get('epoch', 0)} of {settings.get('train', {}).get('epochs', '?')}"
    return training, progress, str(read_status(folder)["state"])


def _flatten_to_bare_keys(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings without their groups, so that runs from before there were groups compare with later ones."""
    return {bare_key(key): value for key, value in flatten(values).items()}


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty if the file is missing or damaged."""
    try:
        content = loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _scores(path: Path) -> dict[str, float]:
    """Read the mean scores of the linear probe by features, or those of the neighbours if there is no linear probe."""
    rows = _read_json(path).get("rows")
    scores = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        value = row.get("mean") if row.get("mean") is not None else row.get("neighbours")
        if isinstance(value, int | float):
            scores[str(row.get("features"))] = float(value)
    return scores


def _read_verdicts(folder: Path) -> dict[str, str]:
    """Read the sentence of each probe; results of earlier versions have none."""
    verdicts = {path.stem: _read_json(path).get("verdict") for path in sorted(folder.glob("probe-*.json"))}
    return {name: str(verdict) for name, verdict in verdicts.items() if verdict}


def _is_whitened(folder: Path) -> bool:
    """Tell whether the features of the last checkpoint are whitened: the file names its checkpoint."""
    checkpoint = folder / "checkpoints" / "last.pt"
    try:
        with safe_open(folder / WHITENING_FILE, framework="np") as file:
            of: str = file.get_tensor("checkpoint").tobytes().hex()
        return of == hash_file(checkpoint)
    except (OSError, SafetensorError):
        return False


def _list_outdated(folder: Path) -> list[str]:
    """List the probes of an earlier checkpoint than the last one; results of earlier versions do not tell."""
    probed = {path.stem: _read_json(path).get("checkpoint_digest") for path in sorted(folder.glob("probe-*.json"))}
    last = folder / "checkpoints" / "last.pt"
    if not any(probed.values()) or not last.is_file():
        return []
    current = hash_file(last)
    whitening = folder / WHITENING_FILE
    # a whitening of an earlier checkpoint gives a digest that no probe of this one has
    whitened = digest_features(current, whitening) if whitening.is_file() else current
    return [name for name, digest in probed.items() if digest not in (None, current, whitened)]


def _environment(folder: Path) -> dict[str, Any]:
    """Read the environment in which a run was trained."""
    stored = _read_json(folder / "environment.json")
    packages = stored.get("packages", {})
    return {**{name: stored.get(name) for name in ("commit", "python", "cores")}, "torch": packages.get("torch")}


def _side_by_side(columns: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Collect the values of several dicts, name by name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}
