"""``evaluate``: how good and how different a run's answers are, beside other runs on the same corrupted inputs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_prep.maps.reader import MapFile, open_maps
from downstream.figures.error_by_degree import draw_degree_errors
from downstream.figures.toy import draw_toy
from downstream.figures.training_curves import draw_convergence
from downstream.metrics.error_by_degree import compute_degree_errors
from downstream.metrics.frechet import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.lpips import SMALLEST_SIDE, load_perceptual_distance
from downstream.metrics.modes import score_marks, summarise_path
from downstream.metrics.prediction_scores import (
    ImageMetrics,
    score_images,
    score_methods,
    score_mixture,
    score_spectral_maps,
    score_toy,
)
from pretext.data.batch import Example
from pretext.losses.reconstruction import compose
from pretext.runs.trained_run import TrainedRun, find_run_data, held_out_rows, load_run, need_comparable
from pretext.training.distributed import join_processes
from pretext.training.trainer import seeded_generator
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.probe import without_nan

MOST_VALUES = 2**30  # of all answers of one row together, in numbers of 4 bytes


def evaluate(
    run: str | Path | TrainedRun | None = None,
    *,
    beside: Sequence[str | Path | TrainedRun] = (),
    data: str | Path | MapFile | None = None,
    count: int = 256,
    modes: int = 20,
    seed: int = 0,
    settings: Sequence[str] = (),
    second: str | Path | MapFile | None = None,
    weights: str | Path | None = None,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Score a run's answers to corrupted held-out maps; several processes share the rows of the table.

    A cGML run has three rows: random latents without a step, latents moved by Z (what ``complete`` gives), and latents
    that follow the gradient of the true error, an upper bound that no inference can have. The fourth row to compare
    with, the same network trained on L1 alone, is a run of the method ``regression``, given with ``beside``.

    Parameters
    ----------
    run : path or TrainedRun, optional
        The latest run by default.
    beside : sequence of paths or TrainedRuns
        Other runs, scored on the very same inputs; their task must take and give maps of the same shapes.
    data : path or MapFile, optional
        The map file; the one the run was trained on by default. The test split is used (all maps where there is none).
    count : int
        Maps used, spread over the split.
    modes : int
        Answers to each.
    seed : int
        Of the corruption and the latents.
    settings : sequence of str
        "key=value" over the task's settings in training, e.g. "share=0.25": masks of a size never trained on.
    second : path or MapFile, optional
        Spectral maps of the same objects from other points (``prep --seed 1``): the noise floor of the error by degree.
    weights : path, optional
        A folder with the weights of LPIPS (alexnet.pth, alex.pth) or of FID (inception.pt), see docs/metrics.md; what
        is there is used in place of ST-LPIPS and EfficientNet-Lite0.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    dict
        Rows and circumstances, as written to ``RUN/evaluation-MAPS[-SETTINGS].json``; an earlier evaluation of the same
        maps with the same settings is replaced. Pictures lie in ``RUN/samples``.

    Raises
    ------
    UserError
        When runs or data are missing, or do not fit each other.
    """
    check_range("count", count, 1, 10_000_000)
    check_range("number of modes", modes, 1, 1000)
    place = Workspace.find(workspace)
    main = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    main = main.with_task_settings(settings)
    others = [other if isinstance(other, TrainedRun) else load_run(place.find_run(other)) for other in beside]
    for each in (main, *others):
        each.require_completions()  # said before the data is looked for
    maps = find_run_data(data, main.plan)
    need_comparable(main, others, maps)
    problem = main.plan.task_entry.problem(main.basis, main.plan.task_config)
    rows = held_out_rows(maps, count)
    if len(rows) * modes * int(np.prod(problem.target)) > MOST_VALUES:
        raise UserError("too many answers to hold in memory", f"{len(rows)} x {modes}", "lower --count or --modes")
    example = main.example(maps, rows, seeded_generator(seed, "evaluate"))

    methods: dict[str, Callable[[Example], Tensor]] = {}
    for each in (main, *others):
        methods |= _answers_of(each, modes, seed, methods)
    score, measured_by = _scorer(main, example, weights, seed)
    path_out = main.folder / f"evaluation-{maps.path.stem}{_suffix(settings)}.json"
    with join_processes() as processes:
        rows_of_table = score_methods(methods, example, score, processes)
    result: dict[str, Any] = {
        "run": str(main.folder),
        "beside": [str(other.folder) for other in others],
        "task": main.plan.task,
        "data": maps.source,
        "maps": maps.path.name,
        "maps_digest": maps.digest,
        "inputs": len(rows),
        "answers_to_each": modes,
        "seed": seed,
        "task_settings": asdict(main.plan.task_config),
        "measured_by": measured_by,
        "rows": rows_of_table,
        "environment": environment(),
    }
    if not processes.is_main:
        return {**result, "path": str(path_out)}
    latent_model = main.method.latent_model
    if latent_model is not None:
        _, path = latent_model.complete_along_path(example.condition, min(modes, 4), _latents(seed), at=(0,))
        report = summarise_path(path)
        result["latent_path"] = {"rho": report.rho, "converged": report.converged, "steps": report.steps}
    samples, suffix = main.folder / "samples", _suffix(settings)
    if main.plan.task_entry.predicts == "curve" and latent_model is not None:
        regression = next((other for other in others if other.plan.method == "regression"), None)
        draw_toy(samples / f"toy{suffix}.png", latent_model, regression.method if regression else None)
    elif main.basis.kind != "pixels":
        result["error_by_degree"] = _by_degree(
            main, maps, rows, example, methods, second, samples / f"degrees{suffix}.png"
        )
    if others:
        curves = [(each.folder.name, read_metrics(each.folder / "metrics.jsonl")) for each in (main, *others)]
        named = {f"{place}: {name}": rows for place, (name, rows) in enumerate(curves, 1) if rows}
        draw_convergence(samples / "convergence.png", named)
    write_text(path_out, json.dumps(without_nan(result), indent=1, allow_nan=False) + "\n")
    return {**result, "path": str(path_out)}


def _suffix(settings: Sequence[str]) -> str:
    """What the names of files say of settings, e.g. "-share-0.25"."""
    return "".join(f"-{setting.replace('=', '-').replace('/', '-')}" for setting in settings)


def _latents(seed: int) -> Any:
    return seeded_generator(seed, "latents")


def _answers_of(run: TrainedRun, modes: int, seed: int, taken: Any) -> dict[str, Callable[[Example], Tensor]]:
    """What a run answers, by the names of its rows; the same first latents for all."""
    method = run.method
    name = run.plan.method
    same = sum(other == name or other.startswith((f"{name},", f"{name} (")) for other in taken)
    if same:
        name = f"{name} ({same + 1}: {run.folder.name})"
    completion = method.latent_model
    if completion is None:
        return {name: lambda example: method.complete(example.condition, modes, _latents(seed))}

    def at_start(example: Example) -> Tensor:
        return completion.complete_along_path(example.condition, modes, _latents(seed), at=(0,))[0][0]

    return {
        f"{name}, random z": at_start,
        f"{name}, z moved by Z": lambda example: method.complete(example.condition, modes, _latents(seed)),
        f"{name}, oracle z (sees the truth: upper bound)": lambda example: completion.oracle(
            example, modes, _latents(seed)
        ),
    }


def _scorer(
    run: TrainedRun, example: Example, weights: str | Path | None, seed: int
) -> tuple[Callable[[Tensor], dict[str, float]], dict[str, str]]:
    """The function that scores one row's answers, and what it measures with."""
    entry, config = run.plan.task_entry, run.plan.task_config
    if entry.predicts == "curve":
        return lambda answers: score_toy(example, answers), {}
    if entry.predicts == "points":
        spread = config.spread
        return lambda answers: score_mixture(answers, spread), {}
    if run.basis.kind != "pixels":
        valid = run.standardise.valid

        def spectral(answers: Tensor) -> dict[str, float]:
            return score_spectral_maps(example.target, compose(example, answers), valid, seeded_generator(seed, "pairs"))

        return spectral, {"values": "standardised coefficients"}
    folder = Path(weights) if weights else None
    if folder is not None and not folder.is_dir():
        raise UserError("no such folder of weights", str(folder), "see docs/metrics.md for what must lie in it")
    lpips = folder if folder and (folder / "alex.pth").exists() else None
    inception = folder / "inception.pt" if folder and (folder / "inception.pt").exists() else None
    if folder is not None and lpips is None and inception is None:
        raise UserError("no weights in this folder", str(folder), "see docs/metrics.md for what must lie in it")
    distance = load_perceptual_distance(lpips)
    large_enough = min(example.target.shape[2:]) >= SMALLEST_SIDE[distance.name]
    network = load_feature_network(inception)
    truth = entry.to_image(example.condition, example.target, config)
    of_truth = compute_image_features(network, truth)
    measures = ImageMetrics(distance if large_enough else None, network, of_truth)
    measured_by = {
        "perceptual": distance.name if large_enough else "none: too small",
        "Frechet": network.name,
        "warning": frechet_distance(of_truth, of_truth).warning,
    }

    mark = entry.absent_mark(config, *example.target.shape[2:]) if entry.absent_mark is not None else None

    def images(answers: Tensor) -> dict[str, float]:
        composed = compose(example, answers)
        shown = [entry.to_image(example.condition, answer, config) for answer in composed.unbind(1)]
        scores = score_images(truth, torch.stack(shown, dim=1), measures, seeded_generator(seed, "pairs"))
        if mark is not None:
            scores |= score_marks(example.target, composed, mark)
        return scores

    return images, measured_by


def _by_degree(
    run: TrainedRun,
    maps: MapFile,
    rows: Any,
    example: Example,
    methods: dict[str, Callable[[Example], Tensor]],
    second: str | Path | MapFile | None,
    picture: Path,
) -> dict[str, Any]:
    """Error of each method's first answers by angular degree, in the coefficients' own units, drawn and as lists."""
    noisy = None
    if second is not None:
        other = second if isinstance(second, MapFile) else open_maps(second)
        place = {identity: row for row, identity in enumerate(other.ids)}
        missing = [maps.ids[row] for row in rows if maps.ids[row] not in place]
        if missing:
            raise UserError(
                "the second sampling lacks objects", f"{missing[0]} of {other.path}", "prepare the same data"
            )
        alike = replace(other.basis, seed=maps.basis.seed)
        if other.digest == maps.digest:
            raise UserError("the second sampling is the first", str(other.path), "prepare it with another --seed")
        if maps.basis.find_conflicts(alike) or alike.points != maps.basis.points:
            raise UserError(
                "the second sampling has another basis", str(other.path), "prepare it with the same options"
            )
        noisy = other.read(np.array([place[maps.ids[row]] for row in rows]))
    truth = maps.read(rows)
    found = {"the corrupted input": example.condition} if example.condition.shape == example.target.shape else {}
    found |= {name: compose(example, answer(example))[:, 0] for name, answer in methods.items()}
    errors = {
        name: compute_degree_errors(truth, run.standardise.undo(answer).numpy(), run.basis, noisy)
        for name, answer in found.items()
    }
    draw_degree_errors(picture, errors)
    first = next(iter(errors.values()))
    return {
        "degrees": first.degrees.tolist(),
        "spread": first.spread.tolist(),
        "noise": None if first.noise is None else first.noise.tolist(),
        "error": {name: error.error.tolist() for name, error in errors.items()},
    }
