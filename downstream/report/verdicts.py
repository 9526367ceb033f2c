"""Read the verdict and the intervals of a stored probe, also of one that was written before there were any."""

from typing import Any

from downstream.probes.compared_features import TRAINED, is_training_free
from downstream.probes.intervals import compute_accuracy_interval
from downstream.probes.protocol.verdict import COMPARED
from downstream.report.table import Score

NOT_COMPARED = "the difference was not tested by the version that wrote this result; probe again"


def make_score_with_interval(result: dict[str, Any], scores: dict[str, Any], value: str, interval: str) -> Score | None:
    """Make a cell from a share of correct predictions and its 95 % interval; None if there is no score.

    Parameters
    ----------
    result : dict
        Content of ``probe-MAPS.json``. If it has no intervals, they are computed from the share and
        the number of test samples.
    scores : dict
        A row of it, or the scores of a probe in the row.
    value, interval : str
        Keys of the share and of its interval.
    """
    share = scores.get(value)
    if share is None:
        return None
    low, high = scores.get(interval) or compute_accuracy_interval(float(share), int(result["test"]))
    return Score(float(share), f"{share:.3f} ({low:.3f} to {high:.3f})")


def find_verdict(result: dict[str, Any]) -> str:
    """Find what a stored probe shows about the trained network, as a sentence; empty without a comparison."""
    if "verdicts" in result:
        return str(result.get("verdict") or "")
    rows = {row["features"]: row for row in result["rows"]}
    baselines = [name for name in rows if is_training_free(name)]
    for key, probe in (("mean", "linear"), ("neighbours", "neighbours")):
        scored = {name: row[key] for name, row in rows.items() if row.get(key) is not None}
        if TRAINED in scored and any(name in scored for name in baselines):
            best = max((name for name in baselines if name in scored), key=lambda name: float(scored[name]))
            return (
                f"{COMPARED[probe]}: {scored[TRAINED]:.1%} of {result['test']} test samples correct, best "
                f"training-free baseline ({best}) {scored[best]:.1%}; {NOT_COMPARED}"
            )
    return ""


def is_shown_better(result: dict[str, Any]) -> bool:
    """Tell whether the headline of a stored probe is that the trained network is better than all baselines."""
    verdicts = list(result.get("verdicts", ()))
    return bool(verdicts) and verdicts[0]["outcome"] == "better"
