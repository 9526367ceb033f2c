"""The pictures that belong to a run: which ones depends on its task and on what its data are."""

from pathlib import Path

import numpy as np
from torch import Tensor

from data_prep.transforms.inverse import reconstruct
from downstream.figures.mixture import draw_points
from downstream.figures.predictions import draw_answers, draw_images
from downstream.figures.shapes import draw_shapes
from downstream.figures.toy import draw_toy
from pretext.data.batch import Example
from pretext.losses.reconstruction import compose
from pretext.methods.joint_cgml import cgml_of
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.codes.from_code import FromCodeConfig
from pretext.tasks.toys.mixture import MixtureConfig
from spectral_ssl.ground.errors import UserError

SHAPES_DRAWN, FORMS = 4, 3


def draw_run(
    folder: Path,
    stem: str,
    run: TrainedRun,
    example: Example,
    answers: Tensor,
    ids: list[str],
    *,
    shapes: int = SHAPES_DRAWN,
) -> list[Path]:
    """Draw a run's answers as what they are: images, spectral maps and the shapes these stand for, or the toys.

    Parameters
    ----------
    folder : Path
        Where the PNG files go.
    stem : str
        What their names begin with.
    run : TrainedRun
        Whose answers they are.
    example : Example
        What it was asked, (B, C, H, W).
    answers : Tensor, shape (B, modes, C', H, W)
        What it answered.
    ids : list of str
        Names of the samples.
    shapes : int
        Objects drawn as shapes, beside their maps; each takes about two seconds.

    Returns
    -------
    list of Path
        What was drawn.
    """
    main = folder / f"{stem}.png"
    if isinstance(
        run.plan.task_config, FromCodeConfig
    ):  # a code is nothing to look at: the sample it is of stands first
        example = example._replace(condition=example.target)
    if run.plan.task == "toy":
        method = cgml_of(run.method)
        if method is None:
            return []
        draw_toy(main, method)
        return [main]
    if isinstance(run.plan.task_config, MixtureConfig):
        panels = {"answers": answers.flatten(0, 1).flatten(1), "truth": example.target.flatten(1)}
        draw_points(main, panels, run.plan.task_config.spread)
        return [main]
    if run.basis.kind == "pixels":
        draw_images(main, *image_columns(run, example, answers), ids)
        return [main]
    draw_answers(main, example, answers, ids)
    return [main, *_draw_forms(folder / f"{stem}-shapes.png", run, example, answers, ids[:shapes])]


def image_columns(run: TrainedRun, example: Example, answers: Tensor) -> tuple[list[str], list[Tensor]]:
    """Titles and columns (B, 1 or 3, H, W) for ``draw_images``: seen, the answers, the truth."""
    picture, config = run.plan.task_entry.picture, run.plan.task_config
    titles = ["seen", *(f"answer {number + 1}" for number in range(answers.shape[1])), "truth"]
    composed = compose(example, answers)  # what is known is shown as it is
    shown = [picture(example.condition, answer, config) for answer in composed.unbind(1)]
    return titles, [example.condition, *shown, picture(example.condition, example.target, config)]


def _draw_forms(path: Path, run: TrainedRun, example: Example, answers: Tensor, ids: list[str]) -> list[Path]:
    """What the corrupted map, the first answers and the clean map look like as shapes."""
    forms = {"seen": example.condition, "truth": example.target}
    forms |= {f"answer {number + 1}": answers[:, number] for number in range(min(FORMS, answers.shape[1]))}
    rows = []
    for row, name in enumerate(ids):
        shapes = {}
        for title, maps in forms.items():
            single = run.standardise.undo(maps[row]).numpy()
            try:
                shapes[title] = reconstruct(np.asarray(single), run.basis)
            except UserError:
                continue  # a map can be so corrupted that it is no density at all; its place stays empty
        rows.append((name, shapes))
    if not rows or not rows[0][1]:
        return []
    draw_shapes(path, rows)
    return [path]
