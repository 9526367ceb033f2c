"""``evaluate``: score quality and diversity of a run's predictions, and of other runs on the same corrupted inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.maps.reader import MapFile, open_maps
from downstream.figures.error_by_degree import draw_degree_errors
from downstream.figures.toy import draw_toy
from downstream.figures.training_curves import draw_convergence
from downstream.metrics.error_by_degree import compute_degree_errors, find_true_maps
from downstream.metrics.frechet import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.lpips import SMALLEST_SIDE, load_perceptual_distance
from downstream.metrics.modes import score_clean_mode, score_marks, summarise_path
from downstream.metrics.paired_differences import INPUT_ITSELF, compare_errors
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
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import describe_rows, require_comparable, select_held_out_rows
from pretext.runs.folder import find_run_data
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.training.distributed import join_processes
from spectral_ssl.ground.config import Settings, as_texts
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_json
from spectral_ssl.ground.progress import busy, say
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.run_options import EvaluateOptions

UNEQUAL = 1.25  # ratio of the seconds of two trainings above which their scores do not compare methods
MOST_VALUES = 2**30  # numbers of 4 bytes in all predictions of one row

Predict = Callable[[Example], Tensor]
ScorePredictions = Callable[[Tensor], dict[str, float]]


@takes_options(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> dict[str, Any]:
    """Compute scores of a run's predictions for corrupted maps; several processes share the rows of the table.

    The maps are those of the test split, or of all splits if there is none; the result says which.

    A cGML run has three rows: random latents, latents moved by the latent optimiser Z (what
    ``complete`` gives), and latents that follow the gradient of the true error. This oracle
    sees the truth, so it is a bound of what inference can hope for. For a fourth row, the same
    network trained on L1 alone, give a run of the method ``regression`` as ``beside``. If conditions
    and targets have one shape, one more row takes the input itself for the prediction, which needs
    no training. All rows are compared to it and to ``regression``, with intervals over the inputs.

    Returns
    -------
    dict
        Rows and circumstances, as written to ``RUN/evaluation-MAPS[-SETTINGS].json``. An earlier
        evaluation of the same maps with the same settings is replaced. Images lie in
        ``RUN/samples``.

    Raises
    ------
    UserError
        When runs or data are missing, or do not fit each other.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.evaluate(run, count=8, modes=2)
    >>> [row["answers"] for row in result["rows"]]
    ['regression', 'the input itself']
    """
    evaluation = _prepare(options)
    main, others, example = evaluation.main, evaluation.others, evaluation.example
    methods: dict[str, Predict] = {}
    for run in (main, *others):
        methods |= _predictions_of(run, options.modes, options.seed, methods)
    if example.condition.shape == example.target.shape:
        methods[INPUT_ITSELF] = lambda example: example.condition[:, None]
    score, measured_by = _choose_scores(main, example, options.weights, options.seed)
    path = main.folder / f"evaluation-{evaluation.maps.path.stem}{_suffix(options.settings)}.json"
    with join_processes() as processes, busy("scores of the predictions"):
        rows_of_table, errors = score_methods(methods, example, score, processes)
    result: dict[str, Any] = {
        "run": str(main.folder),
        "beside": [str(other.folder) for other in others],
        "task": main.plan.task,
        "data": evaluation.maps.source,
        "maps": evaluation.maps.path.name,
        "maps_digest": evaluation.maps.digest,
        "inputs": len(evaluation.rows),
        "inputs_from": describe_rows(evaluation.maps, evaluation.rows),
        "answers_to_each": options.modes,
        "seed": options.seed,
        "task_settings": asdict(main.plan.task_config),
        "measured_by": measured_by,
        "rows": rows_of_table,
        "differences": compare_errors(errors, [name for name in errors if name in {INPUT_ITSELF, "regression"}]),
        "environment": environment(),
    }
    result["trained"] = [_describe_training(run) for run in (main, *others)]
    if processes.is_main:
        if others:
            _say_trainings(result["trained"])
        result |= _draw(evaluation, options, methods)
        write_json(path, result)
    return {**result, "path": str(path)}


def _describe_training(run: TrainedRun) -> dict[str, Any]:
    """Tell how long a run was trained."""
    place = run.checkpoint["place"]
    done = {name: place[name] for name in ("epoch", "step", "seconds")}
    return {"run": run.folder.name, "method": run.plan.method, **done, "epochs": run.plan.train.epochs}


def _say_trainings(trained: Sequence[dict[str, Any]]) -> None:
    """Say how long each run was trained, because a longer training often explains a better score."""
    for each in trained:
        say(
            f"{each['run']} ({each['method']}): {each['step']} steps in {each['seconds'] / 60:.1f} min, "
            f"{each['epoch']} of {each['epochs']} epochs"
        )
    seconds = [max(each["seconds"], 1.0) for each in trained]
    if max(seconds) > UNEQUAL * min(seconds):
        say("these runs did not train equally long: the differences are not those of their methods alone")


@dataclass(frozen=True, kw_only=True)
class _Evaluation:
    """The runs that are evaluated, and the maps and the example on which they are."""

    main: TrainedRun
    others: list[TrainedRun]
    maps: MapFile
    rows: NDArray[np.int64]
    example: Example


def _prepare(options: EvaluateOptions) -> _Evaluation:
    """Load the runs and corrupt the maps; raise a UserError if they do not fit each other."""
    workspace = Workspace.find(options.workspace)
    main, *others = (
        run if isinstance(run, TrainedRun) else load_run(workspace.find_run(run))
        for run in (options.run, *options.beside)
    )
    main = main.with_task_settings(options.settings)
    for run in (main, *others):
        run.require_completions()  # fails before the data is opened
    maps = find_run_data(options.data, main.plan)
    require_comparable(main, others, maps)
    problem = main.plan.task_entry.problem(main.basis, main.plan.task_config)
    rows = select_held_out_rows(maps, options.count)
    if len(rows) * options.modes * int(np.prod(problem.target)) > MOST_VALUES:
        got = f"{len(rows)} x {options.modes}"
        raise UserError("too many predictions to hold in memory", got, "lower --count or --modes")
    example = main.example(maps, rows, seeded_generator(options.seed, "evaluate"))
    if options.second is not None and maps.basis.kind != "pixels":
        _, is_stored = find_true_maps(maps.read(rows), example.target, main.standardise)
        if not is_stored:
            do = "leave out --second, or add --set stretch=0 --set turn=0 --set mirror=false"
            raise UserError("a second sampling of other objects", f"task {main.plan.task} alters its objects", do)
    return _Evaluation(main=main, others=others, maps=maps, rows=rows, example=example)


def _draw(evaluation: _Evaluation, options: EvaluateOptions, methods: dict[str, Predict]) -> dict[str, Any]:
    """Draw the images of an evaluation; return the results that are no rows of the table."""
    main, others, example = evaluation.main, evaluation.others, evaluation.example
    result: dict[str, Any] = {}
    latent_model = main.method.latent_model
    if latent_model is not None:
        latents, modes = _latents(options.seed), min(options.modes, 4)
        _, path = latent_model.complete_along_path(example.condition, modes, latents, at=(0,))
        report = summarise_path(path)
        result["latent_path"] = {"rho": report.rho, "converged": report.converged, "steps": report.steps}
    samples, suffix = main.folder / "samples", _suffix(options.settings)
    if main.plan.task_entry.predicts == "curve" and latent_model is not None:
        regression = next((other for other in others if other.plan.method == "regression"), None)
        draw_toy(samples / f"toy{suffix}.png", latent_model, regression.method if regression else None)
    elif main.basis.kind != "pixels":
        image = samples / f"degrees{suffix}.png"
        result["error_by_degree"] = _error_by_degree(evaluation, methods, options.second, image)
    if others:
        curves = [(run.folder.name, read_metrics(run.folder / "metrics.jsonl")) for run in (main, *others)]
        named = {f"{number}: {name}": rows for number, (name, rows) in enumerate(curves, 1) if rows}
        draw_convergence(samples / "convergence.png", named)
    return result


def _suffix(settings: Settings) -> str:
    """Return the part of file names that tells the settings, e.g. "-share-0.25"."""
    return "".join(f"-{setting.replace('=', '-').replace('/', '-')}" for setting in as_texts(settings))


def _latents(seed: int) -> torch.Generator:
    """Return the generator of the first latents, the same for all methods."""
    return seeded_generator(seed, "latents")


def _predictions_of(run: TrainedRun, modes: int, seed: int, taken: Mapping[str, Predict]) -> dict[str, Predict]:
    """Return the functions that predict the rows of a run, by the names of the rows."""
    method = run.method
    name = run.plan.method
    same = sum(other == name or other.startswith((f"{name},", f"{name} (")) for other in taken)
    if same:
        name = f"{name} ({same + 1}: {run.folder.name})"
    latent_model = method.latent_model
    if latent_model is None:
        return {name: lambda example: method.complete(example.condition, modes, _latents(seed))}

    def predict_from_first_latents(example: Example) -> Tensor:
        return latent_model.complete_along_path(example.condition, modes, _latents(seed), at=(0,))[0][0]

    return {
        f"{name}, random z": predict_from_first_latents,
        f"{name}, z moved by Z": lambda example: method.complete(example.condition, modes, _latents(seed)),
        f"{name}, oracle z (sees the truth: upper bound)": lambda example: latent_model.oracle(
            example, modes, _latents(seed)
        ),
    }


def _choose_scores(
    run: TrainedRun, example: Example, weights: str | Path | None, seed: int
) -> tuple[ScorePredictions, dict[str, str]]:
    """Return the function that scores the predictions of one row, and the names of the networks that it uses."""
    entry, config = run.plan.task_entry, run.plan.task_config
    if entry.predicts == "curve":
        return lambda predictions: score_toy(example, predictions), {}
    if entry.predicts == "points":
        return lambda predictions: score_mixture(predictions, config.spread), {}
    if run.basis.kind == "pixels":
        return _choose_image_scores(run, example, weights, seed)
    valid = run.standardise.valid

    def score_spectra(predictions: Tensor) -> dict[str, float]:
        composed = compose(example, predictions)
        return score_spectral_maps(example.target, composed, valid, seeded_generator(seed, "pairs"))

    return score_spectra, {"values": "standardised coefficients"}


def _choose_image_scores(
    run: TrainedRun, example: Example, weights: str | Path | None, seed: int
) -> tuple[ScorePredictions, dict[str, str]]:
    """Return the function that scores images, and the names of the networks that it uses."""
    entry, config = run.plan.task_entry, run.plan.task_config
    lpips, inception = _find_weights(None if weights is None else Path(weights))
    distance = load_perceptual_distance(lpips)
    large_enough = min(example.target.shape[2:]) >= SMALLEST_SIDE[distance.name]
    network = load_feature_network(inception)
    truth = entry.to_image(example.condition, example.target, config)
    of_truth = compute_image_features(network, truth)
    metrics = ImageMetrics(distance if large_enough else None, network, of_truth)
    measured_by = {
        "perceptual": distance.name if large_enough else "none: too small",
        "Frechet": network.name,
        "warning": frechet_distance(of_truth, of_truth).warning,
    }
    mark = entry.absent_mark(config, *example.target.shape[2:]) if entry.absent_mark is not None else None
    wrong = entry.wrong_targets(example, config) if entry.wrong_targets is not None else None

    def score(predictions: Tensor) -> dict[str, float]:
        composed = compose(example, predictions)
        images = [entry.to_image(example.condition, mode, config) for mode in composed.unbind(1)]
        scores = score_images(truth, torch.stack(images, dim=1), metrics, seeded_generator(seed, "pairs"))
        if mark is not None:
            scores |= score_marks(example.target, composed, mark)
        if wrong is not None:
            scores |= score_clean_mode(example, composed, wrong)
        return scores

    return score, measured_by


def _find_weights(folder: Path | None) -> tuple[Path | None, Path | None]:
    """Return the folder with the weights of LPIPS and the file with those of FID; None where there are none."""
    if folder is None:
        return None, None
    if not folder.is_dir():
        raise UserError("no such folder of weights", str(folder), "see docs/metrics.md for the files it must hold")
    lpips = folder if (folder / "alex.pth").exists() else None
    inception = folder / "inception.pt" if (folder / "inception.pt").exists() else None
    if lpips is None and inception is None:
        raise UserError("no weights in this folder", str(folder), "see docs/metrics.md for the files it must hold")
    return lpips, inception


def _error_by_degree(
    evaluation: _Evaluation, methods: Mapping[str, Predict], second: str | Path | MapFile | None, image: Path
) -> dict[str, Any]:
    """Compute and draw the error of each method's first predictions by angular degree, in units of the coefficients."""
    run, maps, rows, example = evaluation.main, evaluation.maps, evaluation.rows, evaluation.example
    noisy = None if second is None else _read_second_sampling(second, maps, rows)
    truth, _ = find_true_maps(maps.read(rows), example.target, run.standardise)
    predictions = {name: compose(example, predict(example))[:, 0] for name, predict in methods.items()}
    coefficients = {name: run.standardise.undo(values).numpy() for name, values in predictions.items()}
    errors = {name: compute_degree_errors(truth, values, run.basis, noisy) for name, values in coefficients.items()}
    draw_degree_errors(image, errors)
    first = next(iter(errors.values()))
    to_second = {}
    if noisy is not None:
        # A map that is nearer to the second sampling than the noisy one is has lost noise, and not
        # learnt the noise of the first.
        to_second = {
            name: compute_degree_errors(noisy, values, run.basis).error.tolist()
            for name, values in coefficients.items()
        }
    return {
        "degrees": first.degrees.tolist(),
        "spread": first.spread.tolist(),
        "noise": None if first.noise is None else first.noise.tolist(),
        "error": {name: error.error.tolist() for name, error in errors.items()},
        "error_to_second_sampling": to_second,
    }


def _read_second_sampling(second: str | Path | MapFile, maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the maps of the same objects from another map file, whose points were sampled with another seed."""
    other = second if isinstance(second, MapFile) else open_maps(second)
    row_of = {identity: row for row, identity in enumerate(other.ids)}
    missing = [maps.ids[row] for row in rows if maps.ids[row] not in row_of]
    if missing:
        got = f"{missing[0]} of {other.path}"
        raise UserError("the second sampling lacks objects", got, "prepare the same data")
    if other.digest == maps.digest:
        raise UserError("the second sampling is the first", str(other.path), "prepare it with another --seed")
    same_seed = replace(other.basis, seed=maps.basis.seed)
    if maps.basis.find_conflicts(same_seed) or same_seed.points != maps.basis.points:
        got = str(other.path)
        raise UserError("the second sampling has another basis", got, "prepare it with the same options")
    return other.read(np.array([row_of[maps.ids[row]] for row in rows]))
