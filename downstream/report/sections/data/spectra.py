"""The spread of objects by degree, the sampling noise of their clouds, and the errors of predictions.

A map is a mean over the P points of a cloud. The maps of two halves of a cloud therefore differ by
noise alone, with four times the variance of the noise of the whole cloud. Stratified and farthest
points lie more evenly than independent points: their noise is smaller than this estimate.
"""

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from data_prep.maps.writer import CONSTANT_BELOW
from data_prep.pipeline.shape_to_map import clouds_to_maps
from downstream.metrics.error_by_degree import DegreeErrors, compute_degree_errors, find_true_maps
from downstream.report.evidence import SEED, Evidence
from downstream.report.line_chart import Curve, draw_line_chart
from downstream.report.templating import render
from pretext.losses.reconstruction import compose
from pretext.runs.evaluation import describe_rows, select_held_out_rows

OBJECTS = 64


def render_spectra(evidence: Evidence) -> Markup | None:
    """Render the stored errors by degree of each evaluation, and those of up to 64 maps; None for images."""
    if evidence.run.basis.kind == "pixels":
        return None
    charts = [_draw(f"{result['file']}: error of the predictions by degree", _read_curves(result["error_by_degree"]))
              for result in evidence.evaluations if result.get("error_by_degree")]  # fmt: skip
    if evidence.is_full and evidence.maps is not None:
        rows = select_held_out_rows(evidence.maps, OBJECTS)
        title = f"{describe_rows(evidence.maps, rows)}, by degree"
        charts.append(_draw(title, _compute_curves(evidence, evidence.maps, rows)))
    drawn = [chart for chart in charts if chart is not None]
    return render("spectra.html", charts=drawn) if drawn else None


def _draw(title: str, curves: dict[str, Curve]) -> Markup | None:
    # values that are rounding errors only would stretch a logarithmic axis
    above = {name: [(x, y) for x, y in curve if y > CONSTANT_BELOW] for name, curve in curves.items()}
    return draw_line_chart(title, "angular degree l", "root mean square over the coefficients", above, log=True)


def _read_curves(stored: dict[str, Any]) -> dict[str, Curve]:
    curves = {"spread of the objects": stored["spread"], **stored["error"]}
    if stored["noise"] is not None:
        curves["second sampling"] = stored["noise"]
        curves["a prediction without noise"] = [value / np.sqrt(2) for value in stored["noise"]]
    return {name: list(zip(stored["degrees"], values, strict=True)) for name, values in curves.items()}


def _compute_curves(evidence: Evidence, maps: MapFile, rows: NDArray[np.int64]) -> dict[str, Curve]:
    truth, second = maps.read(rows), None
    compared: dict[str, NDArray[Any]] = {}
    if maps.has_points and maps.basis.kind in ("zernike", "sh"):
        second = truth + _estimate_noise(maps, rows)
    if evidence.run.method.has_completions:
        example, samples = evidence.run.complete(maps, rows, 1, SEED)
        if example.target.shape[1:] == truth.shape[1:]:
            truth, is_stored = find_true_maps(truth, example.target, evidence.run.standardise)
            second = second if is_stored else None  # The noise of the clouds is that of unaltered objects.
            first = compose(example, samples)[:, 0]
            compared["first prediction"] = evidence.run.standardise.undo(first).numpy()
            if example.condition.shape == example.target.shape:
                compared["input of the network"] = evidence.run.standardise.undo(example.condition).numpy()
    compared = {"spread of the objects": np.broadcast_to(truth.mean(axis=0), truth.shape), **compared}
    errors = {name: compute_degree_errors(truth, values, maps.basis, second) for name, values in compared.items()}
    curves = {name: _pair_with_degrees(error, error.error) for name, error in errors.items()}
    spread = errors["spread of the objects"]
    if spread.floor is not None:
        curves["noise of the clouds"] = _pair_with_degrees(spread, spread.floor)
    return curves


def _pair_with_degrees(errors: DegreeErrors, values: NDArray[np.float64]) -> Curve:
    return [(float(degree), float(value)) for degree, value in zip(errors.degrees, values, strict=True)]


def _estimate_noise(maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimate from two halves of each cloud how much the map of a second cloud of as many points would differ."""
    clouds = maps.read_points(rows)
    order = np.random.default_rng(SEED).permutation(clouds.shape[1])
    half = len(order) // 2
    first, other = (clouds_to_maps(clouds[:, part], maps.basis) for part in (order[:half], order[half : 2 * half]))
    return np.asarray((first - other) / np.sqrt(2), np.float64)
