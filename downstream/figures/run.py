"""Draw the predictions of a run in the form that its task and its data need."""

from pathlib import Path

import numpy as np
from torch import Tensor

from data_prep.transforms.inverse import reconstruct
from downstream.figures.mixture import draw_points
from downstream.figures.predictions import INPUT, TRUTH, draw_images, draw_predictions, title_predictions
from downstream.figures.shapes import draw_shapes
from downstream.figures.toy import draw_toy
from pretext.data.batch import Example
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import ObjectError, UserError

SHAPES_DRAWN, PREDICTIONS_DRAWN = 4, 3  # Objects drawn as shapes; predictions for each.


def draw_run(
    folder: Path,
    stem: str,
    run: TrainedRun,
    example: Example,
    predictions: Tensor,
    ids: list[str],
    *,
    shapes: int = SHAPES_DRAWN,
    has_truth: bool = True,
) -> list[Path]:
    """Draw the predictions of a run as images, as spectral maps and their shapes, or as the toys.

    Parameters
    ----------
    folder : Path
        Folder for the PNG files.
    stem : str
        Start of their names.
    run : TrainedRun
        Run that made the predictions.
    example : Example
        Conditions and targets, (B, C, H, W).
    predictions : Tensor, shape (B, K, C', H, W)
        K predictions for each condition.
    ids : list of str
        Names of the samples.
    shapes : int
        Number of objects to draw also as shapes. Each takes about two seconds.
    has_truth : bool
        Whether the targets are the ground truth, which then is the last column of spectral maps and
        the second of shapes.

    Returns
    -------
    list of Path
        Files that were written.
    """
    main = folder / f"{stem}.png"
    task = run.plan.task_entry
    example = task.show_condition(example)
    if task.predicts == "curve":
        method = run.method.latent_model
        if method is None:
            return []
        draw_toy(main, method)
        return [main]
    if task.predicts == "points":
        panels = {"predictions": predictions.flatten(0, 1).flatten(1), TRUTH: example.target.flatten(1)}
        draw_points(main, panels, run.plan.task_config.spread)
        return [main]
    if run.basis.kind == "pixels":
        draw_images(main, *build_image_columns(run, example, predictions), ids)
        return [main]
    draw_predictions(main, example, predictions, ids, has_truth=has_truth)
    columns = {INPUT: example.condition, TRUTH: example.target} if has_truth else {INPUT: example.condition}
    return [main, *_draw_as_shapes(folder / f"{stem}-shapes.png", run, columns, predictions, ids[:shapes])]


def build_image_columns(run: TrainedRun, example: Example, predictions: Tensor) -> tuple[list[str], list[Tensor]]:
    """Build the columns of ``draw_images``: the input, the predictions, the ground truth.

    Parameters
    ----------
    run : TrainedRun
        Run on images.
    example : Example
        Conditions and targets, (B, C, H, W).
    predictions : Tensor, shape (B, K, C', H, W)
        K predictions for each condition.

    Returns
    -------
    titles : list of str
        K + 2 titles.
    columns : list of Tensor, each of shape (B, 1 or 3, H, W)
        Images. In the predictions the known pixels are those of the condition.
    """
    to_image, config = run.plan.task_entry.to_image, run.plan.task_config
    titles = [INPUT, *title_predictions(predictions.shape[1]), TRUTH]
    images = [to_image(example.condition, sample, config) for sample in compose(example, predictions).unbind(1)]
    return titles, [example.condition, *images, to_image(example.condition, example.target, config)]


def _draw_as_shapes(
    path: Path, run: TrainedRun, columns: dict[str, Tensor], predictions: Tensor, ids: list[str]
) -> list[Path]:
    """Draw maps by title (B, C, H, W) and the first predictions as shapes."""
    titles = title_predictions(min(PREDICTIONS_DRAWN, predictions.shape[1]))
    columns = columns | {title: predictions[:, number] for number, title in enumerate(titles)}
    rows = []
    for row, name in enumerate(ids):
        shapes = {}
        for title, maps in columns.items():
            single = run.standardise.undo(maps[row]).numpy()
            try:
                shapes[title] = reconstruct(np.asarray(single), run.basis)
            except (UserError, ObjectError):
                continue  # A badly corrupted map may have no density; its cell stays empty.
        rows.append((name, shapes))
    if not rows or not rows[0][1]:
        path.unlink(missing_ok=True)  # an older figure of other maps
        return []
    draw_shapes(path, rows)
    return [path]
