"""The content of a report: files in the run's folder, and features and predictions of its network.

Letters in shapes: B maps with predictions, N items, D features.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_prep.maps.reader import MapFile
from downstream.features.standardise import fit_scaler
from pretext.data.batch import Example
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.evaluation import describe_rows, select_held_out_rows
from pretext.runs.folder import find_run_data
from pretext.runs.origin import is_encoder
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

PREDICTED, MODES = 6, 3  # maps with predictions, and predictions for each
MOST_ITEMS = 2000
SEED = 0


class Predictions(NamedTuple):
    """Predictions for some maps: the conditions and targets, the samples, and the ids of the maps."""

    example: Example
    samples: Tensor  # (B, modes, C', H, W)
    ids: list[str]
    described: str = ""  # the number of maps and their split


@dataclass(frozen=True, eq=False)
class Items:
    """Items of the data and their features.

    Attributes
    ----------
    rows : ndarray, shape (N,), int64
        Rows of the map file, in rising order.
    features : ndarray, shape (N, D), float32
        Features of these rows.
    """

    rows: NDArray[np.int64]
    features: NDArray[np.float32]

    def standardise(self) -> NDArray[np.float64]:
        """Compute the features with mean 0, and with deviation 1 in each dimension that varies."""
        return np.asarray(fit_scaler(self.features).transform(self.features.astype(np.float64)))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the report of one run shows.

    Attributes
    ----------
    run : TrainedRun
        The run.
    maps : MapFile or None
        Its data; None if they are missing.
    no_maps : str
        Why the data are missing.
    metrics, probes, evaluations : list of dict
        Rows of ``metrics.jsonl``; contents of ``probe-*.json`` and ``evaluation-*.json``, oldest
        first.
    studies : list of dict
        Contents of ``human-study-*.json``, which ``study results --into-runs`` writes.
    environment, status : dict
        Contents of the files of these names.
    predictions : Predictions or None
        Predictions for some maps, of the test split if there is one, if the method makes any.
    items : Items or None
        Features of up to 2000 items; None in a short report.
    """

    run: TrainedRun
    maps: MapFile | None
    no_maps: str
    metrics: list[dict[str, Any]]
    probes: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    studies: list[dict[str, Any]]
    environment: dict[str, Any]
    status: dict[str, Any]
    predictions: Predictions | None
    items: Items | None

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.run.folder.resolve().name

    @property
    def is_full(self) -> bool:
        """Whether the network was run, not only its files read."""
        return self.items is not None

    def is_current(self, result: dict[str, Any]) -> bool:
        """Tell whether the result of a probe belongs to the current checkpoint."""
        return bool(result.get("checkpoint_digest", self.run.checkpoint_digest) == self.run.checkpoint_digest)


def gather(
    run: TrainedRun, maps: MapFile | None = None, *, full: bool = True, predictions: Predictions | None = None
) -> Evidence:
    """Read the files of a run and, for a full report, run its network.

    Parameters
    ----------
    run : TrainedRun
        The run to report on.
    maps : MapFile, optional
        The data it was trained on; by default they are found by the path that the run stores.
    full : bool
        Whether to encode items and predict maps, which takes about a minute on one core. Otherwise
        only files are read.
    predictions : Predictions, optional
        Predictions that exist already.

    Returns
    -------
    Evidence

    Raises
    ------
    UserError
        If a result in the folder is damaged.
    """
    no_maps = ""
    if maps is None:
        try:
            maps = find_run_data(None, run.plan)
        except UserError as error:
            no_maps = str(error)
    items = None
    if maps is not None and full:
        rows = choose_item_rows(maps)
        items = Items(rows, run.encode_file(maps, rows))
        if predictions is None and run.method.has_completions and not is_encoder(run):
            predicted = select_held_out_rows(maps, PREDICTED)
            ids, described = [maps.ids[row] for row in predicted], describe_rows(maps, predicted)
            predictions = Predictions(*run.complete(maps, predicted, MODES, SEED), ids, described)
    return Evidence(
        run=run,
        maps=maps,
        no_maps=no_maps,
        metrics=read_metrics(run.folder / "metrics.jsonl"),
        probes=_read_results(run.folder, "probe-*.json"),
        evaluations=_read_results(run.folder, "evaluation-*.json"),
        studies=_read_results(run.folder, "human-study-*.json"),
        environment=_read_object(run.folder / "environment.json"),
        status=_read_object(run.folder / "status.json"),
        predictions=predictions,
        items=items,
    )


def choose_item_rows(maps: MapFile, most: int = MOST_ITEMS) -> NDArray[np.int64]:
    """Choose up to ``most`` evenly spaced rows: half of them from the test split if it has as many."""
    test = maps.rows("test")
    others = np.setdiff1d(maps.rows(), test)
    from_test = min(len(test), max(most // 2, most - len(others)))
    return np.sort(np.concatenate([_spread(test, from_test), _spread(others, most - from_test)]))


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


def _read_results(folder: Path, pattern: str) -> list[dict[str, Any]]:
    paths = sorted(folder.glob(pattern), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [{**_read_object(path), "file": path.name} for path in paths]


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty dict if the file is missing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError) as error:
        raise UserError("damaged result", f"{path} ({error})", "remove it, or make it again") from error
    if not isinstance(content, dict):
        raise UserError("damaged result", str(path), "remove it, or make it again")
    return content


def to_number(value: Any) -> float:
    """Convert a value of a result to a number; NaN if it is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def name_probe(result: dict[str, Any]) -> str:
    """Compose the name of a stored probe: its data, their rotation, and the layer of the features."""
    pose, layer = result.get("pose", "aligned"), result.get("layer", DEFAULT)
    rotated = "" if pose == "aligned" else f", rotated at random: {pose}"
    return f"{result['target']}{rotated}" + ("" if layer == DEFAULT else f", layer {layer}")
