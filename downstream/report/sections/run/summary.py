"""What the run is, and the tables of its probes."""

from typing import Any

from markupsafe import Markup

from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, number, probed
from downstream.report.table import Score, Table, score
from downstream.report.templating import fragment, render


def summary(evidence: Evidence) -> Markup | None:
    """The run in a few lines; each probe beside its baselines."""
    run, place = evidence.run, evidence.run.checkpoint["place"]
    train = evidence.maps.rows("train") if evidence.maps else None
    seconds = number(evidence.metrics[-1].get("seconds")) if evidence.metrics else float("nan")
    facts = {
        "method": run.plan.method,
        "task": run.plan.task,
        "data": f"{evidence.maps.source}, {len(evidence.maps)} maps" if evidence.maps else run.plan.data,
        "trained on": f"{len(train)} maps without labels" if train is not None else None,
        "trained for": f"{place['epoch']} epochs, {place['step']} steps" + _duration(seconds),
        "state": evidence.status.get("state"),
        "checkpoint": run.checkpoint_digest[:16],
    }
    return render(
        "summary.html",
        facts={name: value for name, value in facts.items() if value is not None},
        headline=_headline(evidence),
        no_maps=evidence.no_maps,
        probes=[fragment(probe_table(result, evidence.is_current(result))) for result in reversed(evidence.probes)],
        run=str(run.folder),
    )


def probe_table(result: dict[str, Any], current: bool = True) -> Table:
    """A probe's stored result as a table.

    Parameters
    ----------
    result : dict
        What ``probe-MAPS.json`` holds.
    current : bool
        Whether it is of the checkpoint that lies there now.
    """
    old = "" if current else " (of an earlier checkpoint)"
    columns = ["features", "dimensions"]
    rows: list[list[Any]] = [[row["features"], row["dimensions"]] for row in result["rows"]]
    for title, cells in _columns(result).items():
        columns.append(title)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    names = [row["features"] for row in result["rows"]]
    caption = (
        f"{probed(result)}: {result['classes']} classes, {result['train']} training samples, "
        f"{result['test']} test samples{old}"
    )
    return Table(caption=caption, columns=columns, rows=rows, marked=names.index(TRAINED) if TRAINED in names else None)


def _columns(result: dict[str, Any]) -> dict[str, list[Score | None]]:
    """The scores of all rows by the titles of their columns: those of the probes that were asked for."""
    probes, rows = result.get("probes", ()), result["rows"]
    found: dict[str, list[Score | None]] = {}
    if "linear" in probes:
        found["linear probe"] = [score(row["mean"], row["std"]) for row in rows]
        found["standard error of the test"] = [score(row["standard_error"]) for row in rows]
    for probe, title in (("svm", "linear SVM"), ("layer", "single layer")):
        if probe in probes:
            found[title] = [score(row[probe]["mean"], row[probe]["std"]) if row.get(probe) else None for row in rows]
    if "neighbours" in probes:
        found["10 neighbours"] = [score(row["neighbours"]) for row in rows]
    for place, scores in enumerate(rows[0].get("few_shot") or ()):
        title = f"{scores['labels']} label{'s' * (scores['labels'] > 1)} a class"
        few = [row["few_shot"][place] for row in rows]
        found[title] = [score(each["mean"], each["std"]) for each in few]
    if "retrieval" in probes:
        found["class mAP"] = [score(row["retrieval"]) for row in rows]
    if "fine-tune" in probes:
        tuned = [row.get("fine_tune") for row in rows]
        found["fine-tuned (upper reference)"] = [score(each["accuracy"]) if each else None for each in tuned]
    return found


def _headline(evidence: Evidence) -> str:
    """The newest linear probe in one sentence, beside the best row that cost no training."""
    for result in reversed(evidence.probes):
        if "linear" not in result.get("probes", ()) or not evidence.is_current(result):
            continue
        scores = {row["features"]: number(row["mean"]) for row in result["rows"]}
        free = {name: mean for name, mean in scores.items() if not name.startswith((TRAINED, "reference"))}
        if TRAINED not in scores or not free:
            continue
        best = max(free, key=lambda name: free[name])
        return (
            f"A linear probe of the features has {scores[TRAINED]:.1%} of the test samples right; "
            f"the best that cost no training, {best}, has {free[best]:.1%} ({probed(result)})."
        )
    return ""


def _duration(seconds: float) -> str:
    if not seconds >= 0:
        return ""
    minutes = round(seconds / 60)
    return f", {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f", {seconds / 60:.1f} min"
