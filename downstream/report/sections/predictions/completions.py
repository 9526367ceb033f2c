"""What the network saw, its answers, the truth; and the scores of answers that were evaluated."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor

from data_prep.source import Shape
from downstream.figures.run import image_columns
from downstream.report.evidence import Answered, Evidence
from downstream.report.images import data_uri, enlarged, image_pixels, map_pixels
from downstream.report.table import Table
from downstream.report.templating import fragment, render
from downstream.report.turnable_shapes import surfaces, turnable
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.codes.from_code import FromCodeConfig

SHOWN_SIDE = 96
AS_SHAPES, FORMS = 3, 3
FULL_COLOUR = 0.99  # share of the true coefficients that are not too large for the colours


def answers(evidence: Evidence) -> Markup | None:
    """Rows of pictures, of shapes where maps stand for shapes, and tables of scores."""
    tables = [fragment(score_table(result)) for result in evidence.evaluations]
    titles: list[str] = []
    rows: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    drawn: dict[str, str] = {}
    if evidence.answered is not None:
        if is_picture(evidence.run):
            titles, rows = answer_rows(evidence.run, evidence.answered)
            if evidence.whole and evidence.run.basis.kind != "pixels":
                shapes = shape_rows(evidence.answered.ids, answer_shapes(evidence.run, evidence.answered))
        else:  # the toys have charts of their own
            drawn = _drawn(evidence.run)
    if not (tables or rows or drawn):
        return None
    return render("answers.html", titles=titles, rows=rows, shapes=shapes, tables=tables, drawn=drawn)


def is_picture(run: TrainedRun) -> bool:
    """Whether what the run answers can be looked at pixel by pixel."""
    return run.plan.task not in ("toy", "mixture")


def answer_rows(run: TrainedRun, answered: Answered) -> tuple[list[str], list[dict[str, Any]]]:
    """Titles, and for each map its id and its pictures: seen, the answers, the truth."""
    example = answered.example
    if isinstance(run.plan.task_config, FromCodeConfig):  # a code is nothing to look at
        example = example._replace(condition=example.target)
    if run.basis.kind == "pixels":
        titles, columns = image_columns(run, example, answered.answers)
        pixels = [[image_pixels(image) for image in column.numpy()] for column in columns]
    else:
        modes = answered.answers.unbind(dim=1)
        titles = ["seen", *(f"answer {number + 1}" for number in range(len(modes))), "truth"]
        columns = [example.condition, *modes, example.target]
        largest = float(np.quantile(example.target[:, 0].abs().numpy(), FULL_COLOUR))
        pixels = [[map_pixels(single[0], largest) for single in column.numpy()] for column in columns]
    rows = [
        {"id": name, "pictures": [data_uri(enlarged(column[row], SHOWN_SIDE)) for column in pixels]}
        for row, name in enumerate(answered.ids)
    ]
    return titles, rows


def answer_shapes(run: TrainedRun, answered: Answered, most: int = FORMS) -> dict[str, list[Shape | None]]:
    """The surfaces that the first maps stand for, by what they show.

    Parameters
    ----------
    run : TrainedRun
        Of shapes, not of pixels.
    answered : Answered
    most : int
        Answers to each map.

    Returns
    -------
    dict
        ``seen`` (where it is of the same shape as the truth), ``answer 1`` and so on, ``truth``: each a list of up to
        three surfaces, None where a map stands for none.
    """
    forms: dict[str, Tensor] = {}
    if answered.example.condition.shape == answered.example.target.shape:
        forms["seen"] = answered.example.condition
    composed = compose(answered.example, answered.answers)
    forms |= {f"answer {number + 1}": composed[:, number] for number in range(min(most, composed.shape[1]))}
    forms["truth"] = answered.example.target
    count = min(AS_SHAPES, len(answered.ids))
    plain: NDArray[np.float32] = np.concatenate([run.standardise.undo(each[:count]).numpy() for each in forms.values()])
    found = surfaces(plain, run.basis)
    return {title: found[place * count : (place + 1) * count] for place, title in enumerate(forms)}


def shape_rows(ids: Sequence[str], forms: Mapping[str, Sequence[Shape | None]]) -> list[dict[str, Any]]:
    """For each of the first maps its id and its shapes of ``answer_shapes``; those of one map turn together."""
    return [
        {
            "id": name,
            "forms": [
                turnable(shape, f"{name}: {title}", f"answer {row}") for title, shape in zip(forms, of_map, strict=True)
            ],
        }
        for row, (name, of_map) in enumerate(zip(ids, zip(*forms.values(), strict=True), strict=False))
    ]


def score_table(result: dict[str, Any]) -> Table:
    """An evaluation's stored result as a table."""
    names = list(dict.fromkeys(name for row in result["rows"] for name in row if name != "answers"))
    changed = result["file"].removeprefix("evaluation-").removesuffix(".json")
    measured = result.get("measured_by", {})
    warning = f". {measured['Frechet']}: {measured['warning']}" if measured.get("warning") else ""
    return Table(
        caption=f"{changed}: {result['inputs']} inputs, {result['answers_to_each']} answers to each{warning}",
        columns=["answers", *names],
        rows=[[row["answers"], *(row.get(name) for name in names)] for row in result["rows"]],
    )


def _drawn(run: TrainedRun) -> dict[str, str]:
    """The picture of a toy that lies in the run's folder, by what it shows: that of `evaluate` holds more."""
    for name in ("toy.png", "answers.png"):
        path = run.folder / "samples" / name
        if path.is_file():
            return {"answers and truth": f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"}
    return {}
