"""What a report is written from: what lies in the run's folder, and what is computed of its network.

Letters in shapes: B maps answered, N items looked at, D features.
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
from pretext.data.batch import Example
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun, find_run_data, held_out_rows
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

ANSWERED, MODES = 6, 3
MOST_ITEMS = 2000
SEED = 0


class Answered(NamedTuple):
    """Some maps as the network saw them, and what it answered."""

    example: Example
    answers: Tensor  # (B, modes, C', H, W)
    ids: list[str]


@dataclass(frozen=True, eq=False)
class Items:
    """Items of the data as the network sees them.

    Attributes
    ----------
    rows : ndarray, shape (N,), int64
        Where they lie in the map file, rising.
    features : ndarray, shape (N, D), float32
    """

    rows: NDArray[np.int64]
    features: NDArray[np.float32]

    def standardised(self) -> NDArray[np.float64]:
        """The features with mean 0 and deviation 1 in each dimension that varies."""
        values = self.features.astype(np.float64)
        deviation = values.std(axis=0)
        return np.asarray((values - values.mean(axis=0)) / np.where(deviation > 1e-12, deviation, 1))


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a report of one run tells.

    Attributes
    ----------
    run : TrainedRun
    maps : MapFile or None
        Its data; None where it is gone.
    no_maps : str
        Why.
    metrics, probes, evaluations : list of dict
        Rows of ``metrics.jsonl``; contents of ``probe-*.json`` and ``evaluation-*.json``, oldest first.
    studies : list of dict
        Contents of ``human-study-*.json``, which ``study results --into-runs`` puts here.
    environment, status : dict
        What the files of these names say.
    answered : Answered or None
        Of a method that answers.
    items : Items or None
        None in a short report.
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
    answered: Answered | None
    items: Items | None

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return self.run.folder.resolve().name

    @property
    def whole(self) -> bool:
        """Whether the network was asked for everything, not only its files read."""
        return self.items is not None

    def is_current(self, result: dict[str, Any]) -> bool:
        """Whether a probe's result is of the checkpoint that lies there now."""
        return bool(result.get("checkpoint_digest", self.run.checkpoint_digest) == self.run.checkpoint_digest)


def gather(
    run: TrainedRun, maps: MapFile | None = None, *, whole: bool = True, answered: Answered | None = None
) -> Evidence:
    """Read a run's folder, and ask its network.

    Parameters
    ----------
    run : TrainedRun
    maps : MapFile, optional
        The data it was trained on; looked for by default.
    whole : bool
        Whether to encode items and answer maps: about a minute on one core. Else only what lies there is told.
    answered : Answered, optional
        Answers that are known already.

    Returns
    -------
    Evidence

    Raises
    ------
    UserError
        When a result in the folder is damaged.
    """
    no_maps = ""
    if maps is None:
        try:
            maps = find_run_data(None, run.plan)
        except UserError as error:
            no_maps = str(error)
    items = None
    if maps is not None and whole:
        rows = item_rows(maps)
        items = Items(rows, run.encode_file(maps, rows))
        if answered is None and run.method.answers:
            asked = held_out_rows(maps, ANSWERED)
            answered = Answered(*run.complete(maps, asked, MODES, SEED), [maps.ids[row] for row in asked])
    return Evidence(
        run=run,
        maps=maps,
        no_maps=no_maps,
        metrics=read_metrics(run.folder / "metrics.jsonl"),
        probes=_results(run.folder, "probe-*.json"),
        evaluations=_results(run.folder, "evaluation-*.json"),
        studies=_results(run.folder, "human-study-*.json"),
        environment=_content(run.folder / "environment.json"),
        status=_content(run.folder / "status.json"),
        answered=answered,
        items=items,
    )


def item_rows(maps: MapFile, most: int = MOST_ITEMS) -> NDArray[np.int64]:
    """Up to ``most`` rows, evenly chosen: half of them of the test split where it has as many."""
    test = maps.rows("test")
    others = np.setdiff1d(maps.rows(), test)
    from_test = min(len(test), max(most // 2, most - len(others)))
    return np.sort(np.concatenate([_spread(test, from_test), _spread(others, most - from_test)]))


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)] if len(rows) else rows


def _results(folder: Path, pattern: str) -> list[dict[str, Any]]:
    paths = sorted(folder.glob(pattern), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [{**_content(path), "file": path.name} for path in paths]


def _content(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is no file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise UserError("damaged result", f"{path} ({error})", "remove it, or make it again") from error
    if not isinstance(content, dict):
        raise UserError("damaged result", str(path), "remove it, or make it again")
    return content


def number(value: Any) -> float:
    """A number of a result, NaN where there is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def probed(result: dict[str, Any]) -> str:
    """What a stored probe was of: the data, and how it was turned."""
    pose, layer = result.get("pose", "aligned"), result.get("layer", DEFAULT)
    turned = "" if pose == "aligned" else f", turned at random: {pose}"
    return f"{result['target']}{turned}" + ("" if layer == DEFAULT else f", layer {layer}")
