"""Compare the eight losses of MR-GAN with its baselines, on eight modes in the plane and on images.

    python benchmarks/moment_gan.py toy --workspace WS                         # 14 runs of at most two minutes
    python benchmarks/moment_gan.py sweep --workspace WS                       # joint objective with L2 (appendix F)
    python benchmarks/moment_gan.py pictures --task translate --minutes 30 --workspace WS
    python benchmarks/moment_gan.py objectives --minutes 30 --workspace WS     # a loss, a GAN, both, moments (figure 2)
    python benchmarks/moment_gan.py joint --minutes 30 --workspace WS          # images with an added L1 (figure 13)
    python benchmarks/moment_gan.py cost                                       # time of K samples

``pictures`` trains on facades at 64 pixels with the recipes mr-gan-* (``--task translate``,
``super-resolve`` or ``inpaint``). It trains the variants of ``--cells`` and an L1 (or MSE) baseline
with the same networks and noise. Its table has diversity and Fréchet distance, each also relative
to the baseline. ``objectives`` and ``joint`` are the same with other cells. All three draw samples
of every cell in one figure. For orientation they also give the Fréchet distance of real validation
images; samples of the scored images' own conditions can be nearer.
Every command can be resumed: an existing run in WS/runs is loaded or resumed. The
script writes benchmarks/results/moment-gan-PART.json. For the toy it also draws one figure next to
this file. Raw data must be in WS/raw, because nothing is downloaded.
"""

import argparse
import json
import shutil
import statistics
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

import spectral_ssl
from data_prep.maps.reader import open_maps
from downstream.figures.mixture import draw_points
from downstream.figures.predictions import draw_images
from downstream.figures.run import build_image_columns
from downstream.metrics import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.prediction_scores import score_mixture
from pretext.data.batch import Example, Problem
from pretext.losses.moment_matching import VARIANTS
from pretext.method import build_seeded
from pretext.methods.mr_gan.config import MRGANConfig, MRGANNetworksConfig, MRGANOptimisationConfig
from pretext.methods.mr_gan.model import MRGAN
from pretext.optimisation import run_whole_batch
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.tasks.toys.mixture import MixtureConfig, compute_mixture_centres
from spectral_ssl.ground.errors import unknown_name
from spectral_ssl.ground.files import replace_nan, write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.planning.recipe import read_recipe

RESULTS = Path(__file__).parent / "results"
TOY_MINUTES = 2.0
TOY_POINTS = 10_000
# name: settings that change the recipe mr-gan-toy
TOY: dict[str, tuple[str, ...]] = {
    **{name: (f"variant={name}",) for name in VARIANTS},
    # The likelihood of ten samples is noisy. With weight 1, too many samples stay between the modes.
    "gaussian-mr2": ("variant=gaussian-mr2", "centre_weight=0.25"),
    "GAN alone, 10 samples": ("variant=none",),
    # The baselines of the paper have one sample for each condition.
    "GAN alone": ("variant=none", "samples=1"),
    "GAN and L2": ("variant=none", "samples=1", "loss=l2", "reconstruction_weight=1"),
    "GAN and 10 L2": ("variant=none", "samples=1", "loss=l2", "reconstruction_weight=10"),
    "GAN and 100 L2": ("variant=none", "samples=1", "loss=l2", "reconstruction_weight=100"),
    "GAN and 10 L1": ("variant=none", "samples=1", "loss=l1", "reconstruction_weight=10"),
}
SWEEP = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
JOINT = (0.0, 1.0, 10.0, 100.0)
IMAGE_PARTS = ("pictures", "objectives", "joint")
SHOWN_INPUTS, SHOWN_SAMPLES = 4, 2  # of each cell in a figure
HALF = "train.epochs=120"  # of the recipe mr-gan-inpaint: the first half of its epochs trains the predictor
# weights of the paper for the variants and baselines of each task
PICTURES: dict[str, dict[str, tuple[str, ...]]] = {
    "translate": {
        "baseline": ("variant=none", "samples=1", "loss=l1", "reconstruction_weight=100"),
        **{name: (f"variant={name}",) for name in VARIANTS},
        "laplace-proxy-mr1": ("variant=laplace-proxy-mr1", "centre_weight=1"),
        "laplace-proxy-mr2": ("variant=laplace-proxy-mr2", "centre_weight=1", "dispersion_weight=1"),
    },
    "super-resolve": {
        "baseline": ("variant=none", "samples=1", "graded_samples=0", "loss=l2", "reconstruction_weight=1000"),
        "gaussian-proxy-mr2": (),
        "gaussian-proxy-mr2, gradient of all": ("graded_samples=0",),
        "gaussian-mr2": (
            "variant=gaussian-mr2",
            "samples=24",
            "graded_samples=0",
            "centre_weight=20",
            "slack=1e-4",
        ),
    },
    "inpaint": {
        # The paper has 100 times a mean over the whole image in [0, 1]; here it is one over the hole, a fifth of it.
        "baseline": (
            "variant=none",
            "samples=1",
            "graded_samples=0",
            "loss=l2",
            "reconstruction_weight=5",
            HALF,
        ),
        "gaussian-proxy-mr2": (),
        "gaussian-proxy-mr2, gradient of all": ("graded_samples=0",),
        "gaussian-mr2": ("variant=gaussian-mr2", "graded_samples=0", "centre_weight=10"),
    },
}
EXTRA = {
    "GAN alone": ("variant=none", "samples=1", "graded_samples=0"),
    "bicycle-gan": (),
    "reconstruction alone": (
        "variant=none",
        "samples=1",
        "graded_samples=0",
        "reconstruction_weight=1",
        "adversarial_weight=0",
    ),
}
COST_CASES = {
    "unet": Problem((3, 64, 64), (3, 64, 64), True),
    "residual": Problem((3, 64, 64), (3, 64, 64), True, zoom=4),
    "dilated": Problem((3, 64, 64), (3, 64, 64), True, hole=True),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and end with a message if a cell is unknown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["toy", "sweep", *IMAGE_PARTS, "cost"])
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--task", choices=list(PICTURES), default="translate")
    parser.add_argument("--data", type=Path, help="map file that replaces the data set of the recipe")
    parser.add_argument("--cells", nargs="+", help="names of the variants and baselines to run [all]")
    parser.add_argument("--minutes", type=float, help="longest time of each training [toy 2, `pictures` 30]")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[], help="setting of all runs; repeatable")
    parser.add_argument("--name", default="", help="prefix in the names of runs and result, e.g. trial-")
    parser.add_argument("--count", type=int, default=100, help="number of held-out images")
    parser.add_argument("--modes", type=int, default=20, help="predictions for each image")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    known = list_cells(arguments)
    for name in arguments.cells or ():
        if name not in known:
            parser.error(str(unknown_name("cell", name, list(known))))
    return arguments


def list_cells(arguments: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """List the cells of a part by name, with their settings; the part ``cost`` has none."""
    if arguments.part == "pictures":
        return PICTURES[arguments.task] | EXTRA
    if arguments.part == "objectives":
        cells = PICTURES[arguments.task] | EXTRA
        cells["reconstruction alone"] = (*cells["reconstruction alone"], find_loss(arguments.task))
        return {name: cells[name] for name in ("reconstruction alone", "GAN alone", "gaussian-proxy-mr2")}
    if arguments.part == "joint":
        loss = find_loss(arguments.task)
        return {
            f"{loss[5:].upper()} x {weight:g}": ("variant=gaussian-proxy-mr2", loss, f"reconstruction_weight={weight}")
            for weight in JOINT
        }
    if arguments.part == "sweep":
        joint = "variant=gaussian-proxy-mr2", "loss=l2"
        return {f"L2 x {weight:g}": (*joint, f"reconstruction_weight={weight}") for weight in SWEEP}
    return TOY if arguments.part == "toy" else {}


def find_loss(task: str) -> str:
    """Return the setting of the reconstruction loss of a task's baseline."""
    return next(setting for setting in PICTURES[task]["baseline"] if setting.startswith("loss="))


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.part in IMAGE_PARTS:
        pictures(arguments)
    elif arguments.part == "cost":
        cost(arguments)
    else:
        toy(arguments)


def toy(arguments: argparse.Namespace) -> None:
    """Train on the mixture, count the modes, and draw all samples in one figure."""
    minutes = arguments.minutes or TOY_MINUTES
    rows, panels = [], {}
    for name, settings in chosen(arguments).items():
        run = trained(f"moment-{arguments.part}", name, "mr-gan-toy", settings, minutes, arguments)
        generator = seeded_generator(1, "moment-gan")
        points = run.method.complete(torch.zeros(TOY_POINTS // 20, 1, 1, 1), 20, generator)
        spread = run.plan.task_config.spread
        row = {"cell": name, **training(run), **score_mixture(points, spread)}
        row["variance of the answers"] = points.flatten(0, 1).flatten(1).var(dim=0).mean().item()
        row["bar"] = row["modes found"] == 8 and row["within 3 sigma"] >= 0.9
        rows.append(row)
        panels[name] = points.flatten(0, 1).flatten(1)
        print_row(row)
        write(
            arguments.part, {"spread": spread, "variance of the data": data_variance(spread), "rows": rows}, arguments
        )
    spread = MixtureConfig().spread
    generator = seeded_generator(0, "truth")
    centres = compute_mixture_centres()[torch.randint(8, (TOY_POINTS,), generator=generator)]
    truth = {"data": centres + spread * torch.randn(TOY_POINTS, 2, generator=generator)}
    figure = RESULTS / f"moment-gan-{arguments.name}{arguments.part}.png"
    draw_points(figure, truth | panels, spread)
    print(figure)


def data_variance(spread: float) -> float:
    """Return the variance of each coordinate of the mixture: half the squared radius plus that of a mode."""
    return 0.5 + spread**2


def pictures(arguments: argparse.Namespace) -> None:
    """Train on facades, score all runs on the same held-out images, and divide by the scores of the baseline."""
    cells = {"baseline": PICTURES[arguments.task]["baseline"]} | chosen(arguments)
    part = arguments.task if arguments.part == "pictures" else f"{arguments.task}-{arguments.part}"
    minutes = arguments.minutes or 30.0
    rows: list[dict[str, Any]] = []
    real: float | None = None
    runs: dict[str, TrainedRun] = {}
    for name, settings in cells.items():
        proxy = "proxy" in "".join((name, *settings))
        # The predictor is trained once for each family, and the other runs of the family reuse it.
        run_settings = (*settings, "predictor=auto") if proxy else settings
        if arguments.task == "inpaint" and not proxy and HALF not in settings:
            run_settings = (*run_settings, HALF)  # Of the recipe's epochs the predictor takes half.
        method = name if name == "bicycle-gan" else "mr-gan"
        run = runs[name] = trained(
            f"moment-{arguments.task}", name, f"mr-gan-{arguments.task}", run_settings, minutes, arguments, method
        )
        result = spectral_ssl.evaluate(
            run, data=arguments.data, count=arguments.count, modes=arguments.modes, workspace=arguments.workspace
        )
        scores = result["rows"][0]
        row = {"cell": name, **training(run), **{key: value for key, value in scores.items() if key != "answers"}}
        first = rows[0] if rows else row
        for key in scores:
            if key.startswith(("diversity", "Fréchet")):
                row[f"{key}, times the baseline's"] = row[key] / first[key] if first[key] else float("inf")
        rows.append(row)
        print_row(row)
        real = real_distance(run, arguments) if name == "baseline" else real
        measured = {"measured_by": result["measured_by"], "inputs": result["inputs"], "maps": result["maps_digest"]}
        measured["Fréchet distance of validation images"] = real
        write(part, {**measured, "answers to each": arguments.modes, "rows": rows}, arguments)
    draw(runs, RESULTS / f"moment-gan-{arguments.name}{part}.png", arguments)


def real_distance(run: TrainedRun, arguments: argparse.Namespace) -> float | None:
    """Compute the Fréchet distance of real validation images from the held-out ones; None without such images."""
    maps = open_maps(arguments.data or run.plan.data)
    if len(maps.rows("val")) < 2:
        return None
    network, to_image, config = load_feature_network(), run.plan.task_entry.to_image, run.plan.task_config
    features = []
    for split in ("val", "test"):
        example = run.example(maps, maps.rows(split)[: arguments.count], seeded_generator(0, "real", split))
        features.append(compute_image_features(network, to_image(example.condition, example.target, config)))
    return frechet_distance(*features).value


def draw(runs: dict[str, TrainedRun], path: Path, arguments: argparse.Namespace) -> None:
    """Draw inputs and truth, and some samples of each cell, for the first held-out images."""
    maps = open_maps(arguments.data or next(iter(runs.values())).plan.data)
    rows = maps.rows("test")[:SHOWN_INPUTS]
    titles: list[str] = []
    columns: list[torch.Tensor] = []
    for name, run in runs.items():
        example, predictions = run.complete(maps, rows, SHOWN_SAMPLES)
        names, images = build_image_columns(run, example, predictions)
        kept = slice(0, -1) if not titles else slice(1, -1)
        titles += [names[0]] * (not titles) + [name] * SHOWN_SAMPLES
        columns += images[kept]
        last = names[-1], images[-1]
    draw_images(path, [*titles, last[0]], [*columns, last[1]], [maps.ids[row] for row in rows])
    print(path)


def trained(
    kind: str,
    name: str,
    recipe: str,
    settings: tuple[str, ...],
    minutes: float,
    arguments: argparse.Namespace,
    method: str = "mr-gan",
) -> TrainedRun:
    """Return the run of a cell: load it if it is complete, resume it if it was interrupted, or train it."""
    # Another recipe or other settings are another run, which must not be taken for this one.
    plan = "\n".join([str(read_recipe(recipe)), method, *settings, *arguments.set])
    title = f"{kind}-{arguments.name}{name.replace(' ', '-').replace(',', '')}"
    folder = arguments.workspace / "runs" / f"{title}-{sha256(plan.encode()).hexdigest()[:8]}"
    if not (folder / "checkpoints" / "last.pt").exists():
        if folder.exists():  # The run was interrupted before its first checkpoint.
            shutil.rmtree(folder)
        return spectral_ssl.pretrain(
            arguments.data,
            recipe=recipe,
            method=method,
            max_minutes=minutes,
            epochs=arguments.epochs,
            settings=[*settings, *arguments.set],
            out=folder,
            workspace=arguments.workspace,
        )
    run = load_run(folder)
    progress = run.checkpoint["place"]
    left = minutes - progress["seconds"] / 60
    if progress["epoch"] >= run.plan.train.epochs or left <= 0:
        return run
    return spectral_ssl.pretrain(arguments.data, resume=folder, max_minutes=left, workspace=arguments.workspace)


def chosen(arguments: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Select the cells that the arguments name, or all cells."""
    cells = list_cells(arguments)
    return {name: cells[name] for name in arguments.cells or cells}


def training(run: TrainedRun) -> dict[str, Any]:
    """Summarise the training of a run: settings, size, steps and time."""
    progress = run.checkpoint["place"]
    rows = read_metrics(run.folder / "metrics.jsonl")
    return {
        "config": run.plan.to_toml(),
        "trained at commit": json.loads((run.folder / "environment.json").read_text(encoding="utf-8")).get("commit"),
        "parameters of G": sum(value.numel() for value in run.method.generator.parameters()),
        "epochs": progress["epoch"],
        "steps": progress["step"],
        # A reused predictor takes none. The rows of its own training have no loss of G.
        "steps of the predictor": max(
            (row["step"] for row in rows if row.get("predictor") and not row["adversarial"]), default=0
        ),
        "seconds": progress["seconds"],
        "last": rows[-1] if rows else None,
    }


def cost(arguments: argparse.Namespace) -> None:
    """Time a step of G (forward, losses, backward, Adam) with K samples, relative to a step with one sample."""
    rows = []
    for base, problem in COST_CASES.items():
        condition = torch.rand(8, *problem.condition, generator=seeded_generator(0, base)) * 2 - 1
        weight = torch.ones(8, *problem.target)
        if problem.hole:
            condition[..., 16:48, 16:48] = weight[..., :16, :] = 0.0
        example = Example(condition, torch.rand(8, *problem.target) * 2 - 1, weight)
        seconds: dict[str, float] = {}
        for samples, graded in ((1, 0), (10, 0), (10, 2), (10, 1)):
            # D has one step in a thousand, so the timed steps are those of G.
            config = MRGANConfig(
                variant="gaussian-mr1",
                samples=samples,
                graded_samples=graded,
                networks=MRGANNetworksConfig(width=32),
                optimisation=MRGANOptimisationConfig(generator_updates=1000),
            )
            method = build_seeded(MRGAN, 0, config, problem)
            times = []
            for step in range(8):
                started = time.process_time()  # Processor time does not count other programs.
                run_whole_batch(method, example, seeded_generator(step))
                times.append(time.process_time() - started)
            seconds[f"{samples}, graded {graded or samples}"] = statistics.median(times[2:])
        first, *others = seconds.values()
        ratios = dict(zip(list(seconds)[1:], [value / first for value in others], strict=True))
        rows.append(
            {
                "cell": base,
                "seconds": seconds,
                "ratios": ratios,
                "bar": {name: value <= 5 for name, value in ratios.items()},
            }
        )
        print_row(rows[-1])
    write("cost", {"batch": 8, "width": 32, "K": 10, "rows": rows}, arguments)


def print_row(row: dict[str, Any]) -> None:
    """Print the measured values of a row in one line."""
    shown = {key: value for key, value in row.items() if key not in ("cell", "config", "last")}
    cells = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items())
    print(f"{row['cell']}: {', '.join(cells)}", flush=True)


def write(part: str, measured: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the results so far."""
    result = replace_nan({"threads": arguments.threads, "environment": environment(), **measured})
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"moment-gan-{arguments.name}{part}.json"
    write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
