"""The images of a study: real ones, and what runs answer to the same corrupted inputs."""

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
from downstream.figures.shapes import shape_picture
from downstream.study.design import REAL, SPOILT, StudyConfig, check_methods
from downstream.study.folder import CONSENT, IMAGES, Compared, Study
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import TrainedRun
from pretext.training.trainer import seeded_generator
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.progress import progress
from spectral_ssl.ground.provenance import environment

Picture = NDArray[np.uint8]  # (H, W, 3)
ROWS_AT_ONCE = 64
SMALLEST_SIDE = 16  # pixels; less is nothing to judge

CONSENT_TEXT = """This is a study of how realistic pictures look that a computer made. It tests the pictures, not you.

What is stored: which answer you gave in each round, how long the pictures were seen, how long you took to answer, and
the time. You are known by a random code only. Your name, address, browser or place are neither asked for nor stored,
and nothing leaves the computer this study runs on.

Taking part is up to you. You may stop at any time without giving a reason.
"""


def make_study(
    folder: Path,
    config: StudyConfig,
    runs: Sequence[TrainedRun],
    maps: MapFile,
    rows: NDArray[np.int64],
    consent: str = CONSENT_TEXT,
) -> Study:
    """Sample the items of a study and write its folder.

    Parameters
    ----------
    folder : Path
        To make; it must not exist.
    config : StudyConfig
        Settings.
    runs : sequence of TrainedRun
        What is compared; the first one's task makes the inputs of all.
    maps : MapFile
        Real data.
    rows : ndarray of int64
        Rows of it to draw from, at least ``config.trials + config.checks``.
    consent : str
        What participants agree to; an empty line between paragraphs.

    Returns
    -------
    Study

    Raises
    ------
    UserError
        When there are too few rows, the data are nothing to look at, or the folder cannot be made.
    """
    check_methods(config.kind, len(runs))
    wanted = config.trials + config.checks
    if len(rows) < wanted:
        got = f"{len(rows)} held-out rows in {maps.path.name}"
        raise UserError(f"too few images for {wanted} trials without one twice", got, "lower --trials or --checks")
    generator = np.random.default_rng([config.seed, 0])
    if folder.exists():
        raise UserError("output exists already", str(folder), "choose another --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent)
        )  # for its owner only
    except OSError as error:
        raise UserError("cannot write there", f"{folder} ({error.strerror})", "choose another --out") from error
    try:
        (work / IMAGES).mkdir()
        kept: list[dict[str, str]] = []
        left_out: list[str] = []
        with progress("pictures of rows", wanted) as advance:
            for name, real, answers in pictures(runs, maps, generator.permutation(rows), config.seed):
                if real is None or any(answer is None for answer in answers):
                    left_out.append(name)
                    continue
                check = len(kept) >= config.trials
                sources = {REAL: real}
                if check:
                    spoilt = 1 if config.kind != "psychophysical" else len(runs) - 1
                    sources |= {f"{SPOILT}{number}": _shuffled(real, generator) for number in range(spoilt)}
                else:
                    sources |= {str(number): answer for number, answer in enumerate(answers) if answer is not None}
                files = {source: _write(work / IMAGES, sources[source], generator) for source in sources}
                kept.append({"id": name, **files})
                advance()
                if len(kept) == wanted:
                    break
        if len(kept) < wanted:
            got = f"{len(kept)} of {len(rows)} rows"
            raise UserError(f"too few answers that can be drawn for {wanted} trials", got, "lower --trials or --checks")
        write_text(work / CONSENT, consent)
        about = {
            "task": runs[0].plan.task,
            "task_settings": asdict(runs[0].plan.task_config),
            "data": maps.source,
            "maps": maps.path.name,
            "maps_digest": maps.digest,
            "left_out": left_out,
            "environment": environment(),
        }
        study = Study(
            work, generator.bytes(4).hex(), config, _named(runs), kept[: config.trials], kept[config.trials :],
            secrets.token_urlsafe(18), about,
        )  # fmt: skip
        study.write()
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return replace(study, folder=folder)


def pictures(
    runs: Sequence[TrainedRun], maps: MapFile, rows: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, Picture | None, list[Picture | None]]]:
    """For each row its id, the real image and one answer of each run, all drawn alike; None where nothing can be drawn.

    Shapes are drawn from their spectral maps, the real one too: what a map cannot hold must not tell them apart.
    """
    first = runs[0]
    _need_pictures(first)
    entry, config = first.plan.task_entry, first.plan.task_config
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = rows[start : start + ROWS_AT_ONCE]
        example = first.example(maps, block, seeded_generator(seed, "study", start))
        answers = [
            compose(example, run.method.complete(example.condition, 1, seeded_generator(seed, "answers", start)))[:, 0]
            for run in runs
        ]
        for place, row in enumerate(block):
            here = slice(place, place + 1)

            def drawn(values: Tensor, here: slice = here) -> Picture | None:
                if first.basis.kind == "pixels":
                    return _image(entry.picture(example.condition[here], values[here], config)[0])  # noqa: B023
                return _shape(first, values[here][0])

            yield maps.ids[row], drawn(example.target), [drawn(answer) for answer in answers]


def _need_pictures(run: TrainedRun) -> None:
    problem = run.plan.task_entry.problem(run.basis, run.plan.task_config)
    if run.basis.kind == "pixels" and min(problem.target[1:]) < SMALLEST_SIDE:
        got = f"task {run.plan.task!r} with answers of {problem.target[1]} x {problem.target[2]}"
        raise UserError("nothing to look at", got, "give runs on images or shapes")


def _image(values: Tensor) -> Picture:
    """Pixels (C, H, W) in [-1, 1] as bytes (H, W, 3)."""
    scaled = (values.detach().clamp(-1, 1) + 1) * 127.5
    pixels = scaled.round().byte().permute(1, 2, 0).numpy()
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _shape(run: TrainedRun, values: Tensor) -> Picture | None:
    try:
        shape = reconstruct(np.asarray(run.standardise.undo(values.detach()).numpy()), run.basis)
    except UserError:
        return None  # a map can be so far off that it is no density at all
    return shape_picture(shape)


def _shuffled(picture: Picture, generator: np.random.Generator) -> Picture:
    pixels = picture.reshape(-1, 3)
    return pixels[generator.permutation(len(pixels))].reshape(picture.shape)


def _write(folder: Path, picture: Picture, generator: np.random.Generator) -> str:
    from PIL import Image

    name = f"{generator.bytes(8).hex()}.png"
    Image.fromarray(picture).save(folder / name, format="PNG")
    return name


def _named(runs: Sequence[TrainedRun]) -> list[Compared]:
    methods = [run.plan.method for run in runs]
    return [
        Compared(
            run.plan.method if methods.count(run.plan.method) == 1 else f"{run.plan.method} ({run.folder.name})",
            str(run.folder.resolve()),
            run.checkpoint_digest,
        )
        for run in runs
    ]
