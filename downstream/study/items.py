"""The items of a study: real images, and the predictions of runs for the same corrupted inputs."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_prep.maps.reader import MapFile
from data_prep.transforms.inverse import reconstruct
from downstream.figures.shapes import render_shape
from downstream.study.design import REAL, SPOILT, StudyConfig, check_methods
from downstream.study.folder import CONSENT, IMAGES, Compared, Study
from pretext.losses.reconstruction import compose
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import remove_abandoned, temporary_prefix, write_text
from spectral_ssl.ground.progress import progress
from spectral_ssl.ground.provenance import environment

Pixels = NDArray[np.uint8]  # (H, W, 3)
ROWS_AT_ONCE = 64
SMALLEST_SIDE = 16  # pixels; nobody can tell how real a smaller image looks

CONSENT_TEXT = """This is a study of how real computer-made images look. It tests the images, not you.

The study stores your answer in each round, how long the images were shown, how long you took to answer, and the time.
It knows you by a random code only. It neither asks for nor stores your name, address, browser or location, and no data
leave the computer that runs this study.

Taking part is voluntary. You may stop at any time without giving a reason.
"""


def make_study(
    folder: Path,
    config: StudyConfig,
    runs: Sequence[TrainedRun],
    maps: MapFile,
    rows: NDArray[np.int64],
    consent: str = CONSENT_TEXT,
) -> Study:
    """Make the images of a study and write its folder.

    Parameters
    ----------
    folder : Path
        Folder to make; it must not exist.
    config : StudyConfig
        Settings of the study.
    runs : sequence of TrainedRun
        Runs to compare; the task of the first one makes the inputs of all.
    maps : MapFile
        Real data.
    rows : ndarray of int64
        Rows of the data to choose from, at least ``config.trials + config.checks``.
    consent : str
        Text that participants agree to; an empty line separates paragraphs.

    Returns
    -------
    Study

    Raises
    ------
    UserError
        If there are too few rows, if the data cannot be shown as images, or if the folder cannot be
        made.
    """
    check_methods(config.kind, len(runs))
    wanted = config.trials + config.checks
    if len(rows) < wanted:
        got = f"{len(rows)} held-out rows in {maps.path.name}"
        raise UserError(f"too few images for {wanted} different trials", got, "lower --trials or --checks")
    generator = np.random.default_rng([config.seed, 0])
    work = _make_work_folder(folder)
    try:
        items, failed = _write_items(work / IMAGES, config, runs, maps, rows, generator)
        write_text(work / CONSENT, consent)
        about = {
            "task": runs[0].plan.task,
            "task_settings": asdict(runs[0].plan.task_config),
            "data": maps.source,
            "maps": maps.path.name,
            "maps_digest": maps.digest,
            "left_out": failed,
            "environment": environment(),
        }
        study = Study(
            work, generator.bytes(4).hex(), config, _name_methods(runs), items[: config.trials],
            items[config.trials :], secrets.token_urlsafe(18), about,
        )  # fmt: skip
        study.write()
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return replace(study, folder=folder)


def _make_work_folder(folder: Path) -> Path:
    """Make a temporary folder next to ``folder``, which only its owner can read."""
    if folder.exists():
        raise UserError("output exists already", str(folder), "choose another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        return Path(tempfile.mkdtemp(prefix=temporary_prefix(folder), suffix=".part", dir=folder.parent))
    except OSError as error:
        raise UserError("cannot write there", f"{folder} ({error.strerror})", "choose another --out") from error


def _write_items(
    folder: Path,
    config: StudyConfig,
    runs: Sequence[TrainedRun],
    maps: MapFile,
    rows: NDArray[np.int64],
    generator: np.random.Generator,
) -> tuple[list[dict[str, str]], list[str]]:
    """Write the images of all trials and checks; return the files of each item, and the ids of failed objects."""
    folder.mkdir()
    wanted = config.trials + config.checks
    items: list[dict[str, str]] = []
    failed: list[str] = []
    with progress("images of the study", wanted) as advance:
        for name, real, predictions in draw_items(runs, maps, generator.permutation(rows), config.seed):
            if real is None or any(prediction is None for prediction in predictions):
                failed.append(name)
                continue
            sources = {REAL: real}
            if len(items) >= config.trials:  # an attention check
                spoilt = 1 if config.kind != "psychophysical" else len(runs) - 1
                sources |= {f"{SPOILT}{number}": _shuffle_pixels(real, generator) for number in range(spoilt)}
            else:
                sources |= {str(number): image for number, image in enumerate(predictions) if image is not None}
            files = {source: _write_image(folder, sources[source], generator) for source in sources}
            items.append({"id": name, **files})
            advance()
            if len(items) == wanted:
                return items, failed
    got = f"{len(items)} of {len(rows)} rows"
    raise UserError(f"too few predictions can be drawn for {wanted} trials", got, "lower --trials or --checks")


def draw_items(
    runs: Sequence[TrainedRun], maps: MapFile, rows: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Pixels | None, list[Pixels | None]]]:
    """Yield for each row its id, the real image, and one predicted image of each run.

    An image is None if it cannot be drawn.

    All images of shapes are drawn from spectral maps, the real one too. Otherwise details that no
    map can hold would tell real images from predictions.
    """
    first = runs[0]
    _check_image_size(first)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[start : start + ROWS_AT_ONCE]
        example = first.example(maps, block, seeded_generator(seed, "study", start))
        predictions = [
            compose(example, run.method.complete(example.condition, 1, seeded_generator(seed, "answers", start)))[:, 0]
            for run in runs
        ]
        for number, row in enumerate(block):
            condition = example.condition[number : number + 1]
            real, *predicted = (
                _draw(first, condition, values[number : number + 1]) for values in (example.target, *predictions)
            )
            yield maps.ids[row], real, predicted


def _check_image_size(run: TrainedRun) -> None:
    problem = run.plan.task_entry.problem(run.basis, run.plan.task_config)
    if run.basis.kind == "pixels" and min(problem.target[1:]) < SMALLEST_SIDE:
        got = f"task {run.plan.task!r} with predictions of {problem.target[1]} x {problem.target[2]}"
        raise UserError("nothing to look at", got, "give runs on images or shapes")


def _draw(run: TrainedRun, condition: Tensor, values: Tensor) -> Pixels | None:
    """Draw one target or prediction (1, C', H, W) as an image; return None if it stands for no shape."""
    if run.basis.kind == "pixels":
        return _to_bytes(run.plan.task_entry.to_image(condition, values, run.plan.task_config)[0])
    try:
        shape = reconstruct(np.asarray(run.standardise.undo(values[0].detach()).numpy()), run.basis)
    except UserError:
        return None  # the map of a poor prediction may describe no density at all
    return render_shape(shape)


def _to_bytes(values: Tensor) -> Pixels:
    """Convert an image (C, H, W) of values in [-1, 1] to bytes (H, W, 3)."""
    scaled = (values.detach().clamp(-1, 1) + 1) * 127.5
    pixels = scaled.round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _shuffle_pixels(image: Pixels, generator: np.random.Generator) -> Pixels:
    pixels = image.reshape(-1, 3)
    return pixels[generator.permutation(len(pixels))].reshape(image.shape)


def _write_image(folder: Path, image: Pixels, generator: np.random.Generator) -> str:
    from PIL import Image

    name = f"{generator.bytes(8).hex()}.png"
    Image.fromarray(image).save(folder / name, format="PNG")
    return name


def _name_methods(runs: Sequence[TrainedRun]) -> list[Compared]:
    """Choose names: the method of each run, with its folder if several runs have the same method."""
    methods = [run.plan.method for run in runs]
    return [
        Compared(
            run.plan.method if methods.count(run.plan.method) == 1 else f"{run.plan.method} ({run.folder.name})",
            str(run.folder.resolve()),
            run.checkpoint_digest,
        )
        for run in runs
    ]
