"""The inputs of the network, its predictions and the ground truth; and the scores of evaluated predictions."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor

from data_prep.source import Shape
from downstream.figures.run import build_image_columns
from downstream.metrics.paired_differences import DIFFERENCES, write_difference
from downstream.report.evidence import Evidence, Predictions
from downstream.report.images import encode_png, render_map, render_pixels, resize
from downstream.report.table import Table
from downstream.report.templating import render, render_table
from downstream.report.turnable_shapes import rebuild_surfaces, render_canvas
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import TrainedRun

SHOWN_SIDE = 96
INPUT, TRUTH = "input", "ground truth"
OBJECTS_AS_SHAPES, PREDICTIONS_AS_SHAPES = 3, 3
FULL_COLOUR = 0.99  # share of the true coefficients within the range of the colours


def render_predictions(evidence: Evidence) -> Markup | None:
    """Render rows of images, rows of shapes if maps describe shapes, and tables of scores."""
    tables = [render_table(table) for result in evidence.evaluations for table in build_score_tables(result)]
    titles: list[str] = []
    rows: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    drawn: dict[str, str] = {}
    if evidence.predictions is not None:
        if predicts_images(evidence.run):
            titles, rows = build_image_rows(evidence.run, evidence.predictions)
            if evidence.is_full and evidence.run.basis.kind != "pixels":
                rebuilt = rebuild_shapes(evidence.run, evidence.predictions)
                shapes = build_shape_rows(evidence.predictions.ids, rebuilt)
        else:  # the toys have charts of their own
            drawn = _read_figure(evidence.run)
    if not (tables or rows or drawn):
        return None
    described = evidence.predictions.described if evidence.predictions is not None else ""
    return render(
        "predictions.html", titles=titles, rows=rows, shapes=shapes, tables=tables, drawn=drawn, described=described
    )


def predicts_images(run: TrainedRun) -> bool:
    """Tell whether the predictions of a run can be shown as images."""
    return run.plan.task_entry.predicts == "maps"


def build_image_rows(run: TrainedRun, predictions: Predictions) -> tuple[list[str], list[dict[str, Any]]]:
    """Build titles, and for each map its id and its images: input, predictions, ground truth."""
    example = run.plan.task_entry.show_condition(predictions.example)
    if run.basis.kind == "pixels":
        titles, columns = build_image_columns(run, example, predictions.samples)
        pixels = [[render_pixels(image) for image in column.numpy()] for column in columns]
    else:
        modes = predictions.samples.unbind(dim=1)
        titles = [INPUT, *(f"prediction {number + 1}" for number in range(len(modes))), TRUTH]
        columns = [example.condition, *modes, example.target]
        largest = float(np.quantile(example.target[:, 0].abs().numpy(), FULL_COLOUR))
        pixels = [[render_map(single[0], largest) for single in column.numpy()] for column in columns]
    rows = [
        {"id": name, "images": [encode_png(resize(column[row], SHOWN_SIDE)) for column in pixels]}
        for row, name in enumerate(predictions.ids)
    ]
    return titles, rows


def rebuild_shapes(
    run: TrainedRun, predictions: Predictions, most: int = PREDICTIONS_AS_SHAPES
) -> dict[str, list[Shape | None]]:
    """Rebuild the surfaces of the first maps: of inputs, predictions and ground truth.

    Parameters
    ----------
    run : TrainedRun
        A run on shapes, not on pixels.
    predictions : Predictions
        Predictions of the run.
    most : int
        Largest number of predictions for each map.

    Returns
    -------
    dict
        ``input`` (if inputs and targets have the same shape), ``prediction 1`` and so on, ``ground
        truth``: each a list of up to three surfaces, None for a map that describes none.
    """
    maps: dict[str, Tensor] = {}
    if predictions.example.condition.shape == predictions.example.target.shape:
        maps[INPUT] = predictions.example.condition
    composed = compose(predictions.example, predictions.samples)
    maps |= {f"prediction {number + 1}": composed[:, number] for number in range(min(most, composed.shape[1]))}
    maps[TRUTH] = predictions.example.target
    count = min(OBJECTS_AS_SHAPES, len(predictions.ids))
    plain: NDArray[np.float32] = np.concatenate([run.standardise.undo(each[:count]).numpy() for each in maps.values()])
    surfaces = rebuild_surfaces(plain, run.basis)
    return {title: surfaces[number * count : (number + 1) * count] for number, title in enumerate(maps)}


def build_shape_rows(ids: Sequence[str], shapes: Mapping[str, Sequence[Shape | None]]) -> list[dict[str, Any]]:
    """Build for each of the first maps its id and its canvases of ``rebuild_shapes``, which turn together."""
    return [
        {
            "id": name,
            "canvases": [
                render_canvas(shape, f"{name}: {title}", f"prediction {row}")
                for title, shape in zip(shapes, of_map, strict=True)
            ],
        }
        for row, (name, of_map) in enumerate(zip(ids, zip(*shapes.values(), strict=True), strict=False))
    ]


def build_score_tables(result: dict[str, Any]) -> list[Table]:
    """Build the tables of a stored evaluation: the scores, and the differences on the same inputs."""
    names = list(dict.fromkeys(name for row in result["rows"] for name in row if name != "answers"))
    changed = result["file"].removeprefix("evaluation-").removesuffix(".json")
    measured = result.get("measured_by", {})
    warning = f". {measured['Frechet']}: {measured['warning']}" if measured.get("warning") else ""
    inputs = result.get("inputs_from") or f"{result['inputs']} inputs"
    scores = Table(
        caption=f"{changed}: {inputs}, {result['answers_to_each']} predictions for each{warning}",
        columns=["predictions", *names],
        rows=[[row["answers"], *(row.get(name) for name in names)] for row in result["rows"]],
    )
    differences = result.get("differences", [])  # Older results have none.
    if not differences:
        return [scores]
    compared = [name for name in differences[0] if name not in {"predictions", "reference"}]
    return [
        scores,
        Table(
            caption=f"{changed}: {DIFFERENCES}",
            columns=["predictions", "compared to", *compared],
            rows=[
                [
                    row["predictions"],
                    row["reference"],
                    *(write_difference(row[name]) for name in compared),
                ]
                for row in differences
            ],
        ),
    ]


def _read_figure(run: TrainedRun) -> dict[str, str]:
    """Read the figure of a toy run by its caption; the figure of `evaluate` shows more and comes first."""
    for name in ("toy.png", "answers.png"):
        path = run.folder / "samples" / name
        if path.is_file():
            return {"predictions and ground truth": f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"}
    return {}
