"""How much objects differ degree by degree, how much of that is noise of their points, and the errors of answers.

The noise is that of a cloud of P points: a map is a mean over points, so the maps of two halves of a cloud differ by
noise alone, of four times the variance of the whole cloud's. Where points lie more evenly than drawn one by one
(stratified or farthest points), the noise is smaller than this estimate.
"""

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from data_prep.maps.writer import CONSTANT_BELOW
from data_prep.pipeline.shape_to_map import clouds_to_maps
from downstream.metrics.error_by_degree import DegreeErrors, degree_errors
from downstream.report.evidence import SEED, Evidence
from downstream.report.line_chart import Curve, line_chart
from downstream.report.templating import render
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import held_out_rows

OBJECTS = 64


def spectra(evidence: Evidence) -> Markup | None:
    """Stored errors by degree of each evaluation, and those of 64 held-out maps; None for images."""
    if evidence.run.basis.kind == "pixels":
        return None
    charts = [_chart(f"{result['file']}: error of the answers by degree", _stored(result["error_by_degree"]))
              for result in evidence.evaluations if result.get("error_by_degree")]  # fmt: skip
    if evidence.whole and evidence.maps is not None:
        charts.append(_chart(f"{OBJECTS} held-out objects by degree", _computed(evidence, evidence.maps)))
    drawn = [chart for chart in charts if chart is not None]
    return render("spectra.html", charts=drawn) if drawn else None


def _chart(title: str, curves: dict[str, Curve]) -> Markup | None:
    # what is nothing but rounding has no place on a logarithmic axis
    kept = {name: [(x, y) for x, y in curve if y > CONSTANT_BELOW] for name, curve in curves.items()}
    return line_chart(title, "angular degree l", "root mean square over the coefficients", kept, log=True)


def _stored(found: dict[str, Any]) -> dict[str, Curve]:
    curves = {"spread of the objects": found["spread"], **found["error"]}
    if found["noise"] is not None:
        curves["second sampling"] = found["noise"]
        curves["an answer without noise"] = [value / np.sqrt(2) for value in found["noise"]]
    return {name: list(zip(found["degrees"], values, strict=True)) for name, values in curves.items()}


def _computed(evidence: Evidence, maps: MapFile) -> dict[str, Curve]:
    rows = held_out_rows(maps, OBJECTS)
    truth, second = maps.read(rows), None
    if maps.has_points and maps.basis.kind in ("zernike", "sh"):
        second = truth + _noise(maps, rows)
    found = {"spread of the objects": np.broadcast_to(truth.mean(axis=0), truth.shape)}
    if evidence.run.method.answers:
        example, answers = evidence.run.complete(maps, rows, 1, SEED)
        if example.target.shape[1:] == truth.shape[1:]:
            first = compose(example, answers)[:, 0]
            found["first answer"] = evidence.run.standardise.undo(first).numpy()
            if example.condition.shape == example.target.shape:
                found["what the network saw"] = evidence.run.standardise.undo(example.condition).numpy()
    errors = {name: degree_errors(truth, values, maps.basis, second) for name, values in found.items()}
    curves = {name: _numbered(error, error.error) for name, error in errors.items()}
    one = errors["spread of the objects"]
    if one.floor is not None:
        curves["noise of the clouds"] = _numbered(one, one.floor)
    return curves


def _numbered(errors: DegreeErrors, values: NDArray[np.float64]) -> Curve:
    return [(float(degree), float(value)) for degree, value in zip(errors.degrees, values, strict=True)]


def _noise(maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """As much as the map of a second cloud of as many points would differ, by two halves of each cloud."""
    clouds = maps.read_points(rows)
    order = np.random.default_rng(SEED).permutation(clouds.shape[1])
    half = len(order) // 2
    first, other = (clouds_to_maps(clouds[:, part], maps.basis) for part in (order[:half], order[half : 2 * half]))
    return np.asarray((first - other) / np.sqrt(2), np.float64)
