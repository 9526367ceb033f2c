"""Make the condition of a run's task from a single file of the user.

An image file is complete: the task of the run hides, greys or shrinks it as it does the images of the
data, and the file itself is the ground truth. A file of a shape is what the user has, a scan of which
a side is missing or which is noisy. It becomes the condition as it is, and there is no ground truth.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_prep.basis import PAIR
from data_prep.pipeline.single_file import file_to_map, image_file_to_map
from pretext.data.batch import Batch, Example
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.planning.code_features import encode_image_file


@dataclass(frozen=True)
class FileExample:
    """The example of one file.

    Attributes
    ----------
    path : Path
        The file.
    example : Example
        Condition, target and weight of one sample. Without a ground truth the target is the
        condition.
    is_scan : bool
        Whether the file is a mesh or a cloud, of which no ground truth is known.
    """

    path: Path
    example: Example
    is_scan: bool


def encode_file(run: TrainedRun, path: Path, seed: int = 0, up: str | None = None) -> FileExample:
    """Make the example of a file, for a run of any task that fits it.

    Parameters
    ----------
    run : TrainedRun
        The run.
    path : Path
        An image file for runs on images, a mesh or a cloud for runs on shapes.
    seed : int
        Seed of the task's corruption of an image.
    up : str, optional
        The up axis of a mesh or a cloud, "+z" by default; images have none.

    Returns
    -------
    FileExample

    Raises
    ------
    UserError
        When the file cannot be read, is of the wrong kind, or the run's task cannot start from it.
    """
    plan = run.plan
    if up is not None and run.basis.kind == "pixels":
        raise UserError("images have no up axis", up, "leave out --up")
    if plan.task_entry.codes is not None:
        return FileExample(path, encode_image_file(run, path), is_scan=False)
    if plan.task_entry.predicts != "maps":
        raise UserError("this task has no files as inputs", f"{path}, and the task {plan.task}", "leave out the file")
    if run.basis.kind == "pixels":
        if run.basis.layout == PAIR:
            got = f"{path} for pairs of images"
            raise UserError("a single image in place of an input and its target", got, "give an id of the data")
        maps = image_file_to_map(path, run.basis)[None]
        batch = Batch(run.standardise(maps), run.standardise)
        # not the generator of the predictions, or z would depend on the hole
        example = plan.corrupt(batch, seeded_generator(seed, "complete file"))
        return FileExample(path, example, is_scan=False)
    _require_scan_task(run, path)
    points = getattr(plan.task_config, "points", 0)  # of the parts in training, if not all that remain
    basis = replace(run.basis, points=points) if points else run.basis
    values = file_to_map(path, basis, up).values
    condition = run.standardise(values[None])  # (1, C, H, W)
    weight = run.standardise.valid.expand_as(condition).to(condition.dtype)
    example = Example(torch.as_tensor(condition), torch.as_tensor(condition), weight)
    return FileExample(path, example, is_scan=True)


def _require_scan_task(run: TrainedRun, path: Path) -> None:
    """Check that the run's conditions are maps of shapes as a file has them, at the centre and size of the file."""
    task = run.plan.task
    if task == "complete-shape" and not run.plan.task_config.recentre:
        # A part of an unknown object has its own centre and size, and such maps this run has not seen.
        got = f"{path}, and a run with task.recentre=false"
        raise UserError(
            "the run expects a part at its place in the whole object", got, "train one with --set recentre=true"
        )
    if task == "denoise" and run.plan.task_config.kind != "sampling-noise":
        got = f"{path}, and a run with task.kind={run.plan.task_config.kind}"
        raise UserError(
            "the run knows maps with damaged cells, which no scan has", got, "train one with --set kind=sampling-noise"
        )
    if task not in {"complete-shape", "denoise"}:
        got = f"{path}, and a run of the task {task}"
        raise UserError(
            "a file of a shape fits no input of this task", got, "give a run of complete-shape with recentre=true"
        )
