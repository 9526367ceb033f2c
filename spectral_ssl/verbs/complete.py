"""``complete``: predict several completions of each corrupted map of a file, or of a single image or scan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_prep.maps.reader import MapFile
from downstream.figures.moments import draw_moments
from downstream.figures.predictions import draw_images
from downstream.figures.run import build_image_columns, draw_run
from downstream.figures.surfaces import name_surfaces, write_surfaces
from pretext.data.batch import Example
from pretext.data.training_split import check_same_basis
from pretext.method import LatentModel
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.folder import find_run_data
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError, find_near_name
from spectral_ssl.ground.files import atomic_path, refuse_existing
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.file_condition import FileExample, encode_file
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.run_options import CompleteOptions

SCHEMA = "spectral-ssl completions 1"
ROWS_AT_ONCE = 256
ROWS_DRAWN = 8


@takes_options(CompleteOptions)
def complete(options: CompleteOptions) -> Path:
    """Corrupt maps, of the test split if there is one, with the run's task and complete each several times.

    Returns
    -------
    Path
        The HDF5 file: ``/condition``, ``/target`` (N, C, H, W), ``/answers`` (N, modes, C, H, W),
        all standardised, and ``/ids``. The completions of a scan have no ``/target``; their
        surfaces are in ``OUT-1.ply`` and so on, in the unit ball with +z up.

    Raises
    ------
    UserError
        When run or data are missing, or do not fit each other.

    Examples
    --------
    >>> import h5py
    >>> import spectral_ssl
    >>> path = spectral_ssl.complete(run, count=4, modes=2, out=folder / "completions.h5")
    >>> with h5py.File(path) as file:
    ...     file["answers"].shape
    (4, 2, 1, 16, 16)
    """
    workspace = Workspace.find(options.workspace)
    run = options.run if isinstance(options.run, TrainedRun) else load_run(workspace.find_run(options.run))
    run.require_completions()
    run = run.with_task_settings(options.settings)
    maps = find_run_data(options.data, run.plan)
    check_same_basis(run.basis, maps)
    chosen = _choose_maps(options, run, maps)
    out = Path(options.out) if options.out else run.folder / f"{chosen.name}.h5"
    if out.suffix != ".h5":
        raise UserError("not the name of an HDF5 file", str(out), "give --out a name that ends in .h5")
    if options.path:
        _find_latent_model(run)
    images = [out.with_name(f"{out.stem}{ending}.png") for ending in ("", "-shapes", "-path", "-moments")]
    surfaces = name_surfaces(out, options.modes) if chosen.is_scan else []
    for path in (out, *images, *surfaces):
        refuse_existing(path, options.overwrite)
        if chosen.file is not None and path.exists() and path.samefile(chosen.file.path):
            raise UserError("the scan itself would be replaced", str(path), "give another --out")
    with busy(f"completions of {len(chosen.ids)} maps"):
        example, predictions = _write(out, options, run, maps, chosen)
        ids = chosen.ids[:ROWS_DRAWN]
        draw_run(out.parent, out.stem, run, example, predictions, ids, has_truth=not chosen.is_scan)
    if surfaces:
        write_surfaces(out, run, predictions[0], overwrite=options.overwrite)
    target = run.plan.task_entry.problem(run.basis, run.plan.task_config).target
    if run.method.moment_family is not None and run.basis.kind == "pixels" and target[1:] != (1, 1):
        draw_moments(out.with_name(f"{out.stem}-moments.png"), run, run.method, example, predictions, ids)
    if options.path:
        _draw_path(out.with_name(f"{out.stem}-path.png"), run, example, ids, options.seed)
    return out


@dataclass(frozen=True, kw_only=True)
class _ChosenMaps:
    """The rows of the map file to complete and their ids; or the example of a single file."""

    rows: NDArray[np.int64]
    ids: list[str]
    file: FileExample | None

    @property
    def is_scan(self) -> bool:
        """Whether the sample is a scan, of which no ground truth is known."""
        return self.file is not None and self.file.is_scan

    @property
    def name(self) -> str:
        """The default name of the output, without its ending."""
        return "completions" if self.file is None else f"completion-of-{self.file.path.stem}"


def _choose_maps(options: CompleteOptions, run: TrainedRun, maps: MapFile) -> _ChosenMaps:
    """Choose the maps to complete: those of the test split, all if there is none, or the one that ``like`` names.

    A ``Path`` of a file is the file. A text may also be an id of the data, which comes first.
    """
    chosen = _find_sample(options, run, maps)
    if options.up is not None and not chosen.is_scan:
        raise UserError("--up is for a scan", options.up, "give a mesh or a cloud, or leave out --up")
    return chosen


def _find_sample(options: CompleteOptions, run: TrainedRun, maps: MapFile) -> _ChosenMaps:
    """Find the rows or the file of ``_choose_maps``."""
    if options.like is None:
        rows = select_held_out_rows(maps, options.count)
        return _ChosenMaps(rows=rows, ids=[maps.ids[row] for row in rows], file=None)
    name, is_file = str(options.like), Path(options.like).is_file()
    if name in maps.ids and not (is_file and isinstance(options.like, Path)):
        if is_file:
            say(f"{name} is taken for the object of {maps.path}; ./{name} is the file in the present folder")
        return _ChosenMaps(rows=np.array([maps.ids.index(name)]), ids=[name], file=None)
    if Path(options.like).is_dir():
        raise UserError("a folder, not one file", name, "give one of its files")
    if not is_file:
        near = find_near_name(name, maps.ids)
        hint = f"did you mean {near!r}? " if near else ""
        what_to_do = f"{hint}give a file or an id, e.g. {maps.ids[0]}"
        raise UserError("neither an id of the data nor a file", name, what_to_do)
    return _ChosenMaps(
        rows=np.array([0]), ids=[Path(name).name], file=encode_file(run, Path(name), options.seed, options.up)
    )


def _write(
    out: Path, options: CompleteOptions, run: TrainedRun, maps: MapFile, chosen: _ChosenMaps
) -> tuple[Example, Tensor]:
    """Write the file of completions; return the first rows of conditions and targets, and of predictions."""
    count, modes, seed = len(chosen.rows), options.modes, options.seed
    problem = run.plan.task_entry.problem(run.basis, run.plan.task_config)
    with atomic_path(out, overwrite=options.overwrite) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(_describe(run, maps, seed))
        if chosen.file is not None:
            file.attrs.update({"input": str(chosen.file.path), "up": options.up or ""})
        columns = {
            "condition": file.create_dataset("condition", (count, *problem.condition), "f4"),
            "answers": file.create_dataset("answers", (count, modes, *problem.target), "f4"),
        }
        if not chosen.is_scan:
            columns["target"] = file.create_dataset("target", (count, *problem.target), "f4")
        file.create_dataset("ids", data=chosen.ids, dtype=h5py.string_dtype())
        for start in range(0, count, ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            if chosen.file is None:
                example, predictions = run.complete(maps, chosen.rows[block], modes, seed, start)
            else:
                generator = seeded_generator(seed, "complete", start)
                example = chosen.file.example
                predictions = run.method.complete(example.condition, modes, generator)
            columns["condition"][block] = example.condition.numpy()
            if "target" in columns:
                columns["target"][block] = example.target.numpy()
            columns["answers"][block] = predictions.numpy()
            if start == 0:
                first = Example(*(part[:ROWS_DRAWN] for part in example)), predictions[:ROWS_DRAWN]
    return first


def _find_latent_model(run: TrainedRun) -> LatentModel:
    """Return the model whose latent paths can be drawn; raise a UserError if there is none."""
    model = run.method.latent_model
    if model is None:
        raise UserError("no latent path to draw", f"method {run.plan.method!r}", "leave out --path")
    if run.basis.kind != "pixels" or run.plan.task_entry.predicts == "curve":
        raise UserError("latent paths are drawn of images", f"data of kind {run.basis.kind!r}", "leave out --path")
    return model


def _draw_path(path: Path, run: TrainedRun, example: Example, ids: list[str], seed: int) -> None:
    """Draw a prediction for each map at five steps of its latent (paper, figure 6)."""
    model = _find_latent_model(run)
    count = model.config.path.steps_at_inference
    steps = sorted({round(part * count / 4) for part in range(5)})
    generator = seeded_generator(seed, "complete path")
    predictions, _ = model.complete_along_path(example.condition, 1, generator, at=steps)  # (steps, B, 1, C, H, W)
    titles, columns = build_image_columns(run, example, predictions[:, :, 0].transpose(0, 1))
    titles[1:-1] = [f"step {step}" for step in steps]
    draw_images(path, titles, columns, ids)


def _describe(run: TrainedRun, maps: MapFile, seed: int) -> dict[str, Any]:
    """Return the attributes of the file."""
    return {
        "schema_version": SCHEMA,
        "basis": maps.basis.to_json(),
        "config": run.plan.to_toml(),
        "checkpoint_digest": run.checkpoint_digest,
        "data_digest": maps.digest,
        "seed": seed,
        "created_by": created_by(),
    }
