"""The question that one image asks of a run of the task from-code: the features of that image as the code."""

from pathlib import Path

import torch

from data_prep.basis import PAIR
from data_prep.single_file import image_file_to_map
from pretext.runs import TrainedRun, load_run
from pretext.tasks.example import Batch, Example
from pretext.tasks.from_code import FromCodeConfig
from spectral_ssl.ground.errors import UserError


def code_of_image(run: TrainedRun, path: Path) -> Example:
    """Read an image, bring it to the run's size, and encode it with the run whose features the codes are.

    Parameters
    ----------
    run : TrainedRun
        Of the task from-code.
    path : Path
        An image file.

    Returns
    -------
    Example
        Of one sample.

    Raises
    ------
    UserError
        When the image cannot be read, the run makes no images, or its features came from a file whose run is not known.
    """
    config = run.plan.task_config
    if not isinstance(config, FromCodeConfig):
        raise UserError("nothing to make alike", f"the task {run.plan.task} has no codes", "give a run of lsc-gan")
    if run.basis.kind != "pixels" or run.basis.layout == PAIR:
        raise UserError("an image is nothing like these maps", f"maps of kind {run.basis.kind!r}", "give an id")
    if not config.extractor:
        got = f"features = {config.features}"
        raise UserError("no network that could encode the image", got, "give an id, or train with --features RUN")
    maps = image_file_to_map(path, run.basis)[None]
    extractor = load_run(config.extractor)
    codes = torch.from_numpy(extractor.encode(maps))
    if codes.shape[1] != config.dimensions:
        got = f"{codes.shape[1]} values of {config.extractor}, not {config.dimensions}"
        raise UserError("the run that made the features is another by now", got, "give an id of the data")
    return run.plan.corrupt(Batch(run.standardise(maps), run.standardise, codes=codes), torch.Generator())
