"""``complete``: several answers to each corrupted map of a file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data_prep.maps.reader import MapFile
from downstream.figures.moments import draw_moments
from downstream.figures.predictions import draw_images
from downstream.figures.run import build_image_columns, draw_run
from pretext.data.batch import Example
from pretext.data.training_split import check_same_basis
from pretext.method import LatentModel
from pretext.runs.trained_run import TrainedRun, find_run_data, held_out_rows, load_run
from pretext.training.trainer import seeded_generator
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path, refuse_existing
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.code_features import code_of_image

SCHEMA = "spectral-ssl completions 1"
ROWS_AT_ONCE = 256
ROWS_DRAWN = 8


def complete(
    run: str | Path | TrainedRun | None = None,
    *,
    data: str | Path | MapFile | None = None,
    modes: int = 4,
    count: int = 64,
    seed: int = 0,
    like: str | Path | None = None,
    out: str | Path | None = None,
    path: bool = False,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> Path:
    """Corrupt held-out maps with the run's task and answer each several times.

    Parameters
    ----------
    run : path or TrainedRun, optional
        The latest run by default.
    data : path or MapFile, optional
        The map file; the one the run was trained on by default.
    modes : int
        Answers for each map, from as many random latents.
    count : int
        Maps answered, spread over the test split (over all maps where there is none).
    seed : int
        Of the corruption and the latents.
    like : str or path, optional
        In place of held-out maps one of the data by its id, or (task from-code on images) an image file.
    out : path, optional
        HDF5 file, ``RUN/completions.h5`` by default; a picture is written beside it.
    path : bool
        Draw also how answers form while the latent moves (cGML on images): ``OUT-path.png``.
    overwrite : bool
        Whether existing files may be replaced.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        The HDF5 file: ``/condition``, ``/target`` (N, C, H, W), ``/answers`` (N, modes, C, H, W), all standardised,
        and ``/ids``.

    Raises
    ------
    UserError
        When run or data are missing, or do not fit each other.
    """
    check_range("number of modes", modes, 1, 1000)
    check_range("count", count, 1, 10_000_000)
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    trained.require_completions()
    maps = find_run_data(data, trained.plan)
    check_same_basis(trained.basis, maps)
    target = Path(out) if out else trained.folder / "completions.h5"
    if target.suffix != ".h5":
        raise UserError("not the name of an HDF5 file", str(target), "give --out a name that ends in .h5")
    if path:
        _check_path(trained)
    pictures = [target.with_name(f"{target.stem}{ending}.png") for ending in ("", "-shapes", "-path", "-moments")]
    for each in (target, *pictures):
        refuse_existing(each, overwrite)
    image = None if like is None or str(like) in maps.ids else code_of_image(trained, _image_file(like, maps))
    rows = held_out_rows(maps, count) if like is None else np.array([maps.ids.index(str(like)) if image is None else 0])
    ids = [maps.ids[row] for row in rows] if image is None else [Path(str(like)).name]
    with atomic_path(target, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(_about(trained, maps, seed))
        problem = trained.plan.task_entry.problem(trained.basis, trained.plan.task_config)
        columns = {
            "condition": file.create_dataset("condition", (len(rows), *problem.condition), "f4"),
            "target": file.create_dataset("target", (len(rows), *problem.target), "f4"),
            "answers": file.create_dataset("answers", (len(rows), modes, *problem.target), "f4"),
        }
        file.create_dataset("ids", data=ids, dtype=h5py.string_dtype())
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            if image is None:
                example, answers = trained.complete(maps, rows[block], modes, seed, start)
            else:
                generator = seeded_generator(seed, "complete", start)
                example, answers = image, trained.method.complete(image.condition, modes, generator)
            columns["condition"][block] = example.condition.numpy()
            columns["target"][block] = example.target.numpy()
            columns["answers"][block] = answers.numpy()
            if start == 0:
                drawn = Example(*(part[:ROWS_DRAWN] for part in example)), answers[:ROWS_DRAWN]
    ids = ids[:ROWS_DRAWN]
    draw_run(target.parent, target.stem, trained, *drawn, ids)
    if trained.method.moment_family is not None and trained.basis.kind == "pixels" and problem.target[1:] != (1, 1):
        draw_moments(target.with_name(f"{target.stem}-moments.png"), trained, trained.method, *drawn, ids)
    if path:
        _draw_path(target.with_name(f"{target.stem}-path.png"), trained, drawn[0], ids, seed)
    return target


def _image_file(like: str | Path, maps: MapFile) -> Path:
    """The image file that ``like`` names, being no id. Raises UserError when there is none."""
    if not Path(like).is_file():
        what_to_do = f"give an image file or an id, e.g. {maps.ids[0]}"
        raise UserError("neither an id of the data nor a file", str(like), what_to_do)
    return Path(like)


def _check_path(run: TrainedRun) -> LatentModel:
    """The run's method, whose latent paths can be drawn. Raises UserError when they cannot."""
    method = run.method.latent_model
    if method is None:
        raise UserError("no latent path to draw", f"method {run.plan.method!r}", "leave out --path")
    if run.basis.kind != "pixels" or run.plan.task_entry.predicts == "curve":
        raise UserError("latent paths are drawn of images", f"data of kind {run.basis.kind!r}", "leave out --path")
    return method


def _draw_path(picture: Path, run: TrainedRun, example: Example, ids: list[str], seed: int) -> None:
    """One answer to each map while its latent moves, at five moments (paper, figure 6)."""
    method = _check_path(run)
    count = method.config.inference_steps or method.config.steps
    moments = sorted({round(part * count / 4) for part in range(5)})
    generator = seeded_generator(seed, "complete path")
    answers, _ = method.complete_along_path(example.condition, 1, generator, at=moments)  # (moments, B, 1, C, H, W)
    titles, columns = build_image_columns(run, example, answers[:, :, 0].transpose(0, 1))
    titles[1:-1] = [f"step {moment}" for moment in moments]
    draw_images(picture, titles, columns, ids)


def _about(run: TrainedRun, maps: MapFile, seed: int) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA,
        "basis": maps.basis.to_json(),
        "config": run.plan.to_toml(),
        "checkpoint_digest": run.checkpoint_digest,
        "data_digest": maps.digest,
        "seed": seed,
        "created_by": created_by(),
    }
