"""Compare the latent-space-conditioned GAN with its baselines, ablate its losses, and add noise to its labels.

    python benchmarks/latent_space_gan.py main --data MAPS --features RUN --minutes 45 --workspace WS
    python benchmarks/latent_space_gan.py ablation --data MAPS --features RUN --seeds 0 1 2 --workspace WS
    python benchmarks/latent_space_gan.py robustness --data MAPS --workspace WS
    python benchmarks/latent_space_gan.py structure --data MAPS --features RUN RUN --workspace WS
    python benchmarks/latent_space_gan.py curves --data MAPS --features RUN --at 0.5 1 2 4 --workspace WS
    python benchmarks/latent_space_gan.py spaces --data MAPS --features RUN --workspace WS

The parts repeat tables and figures of the paper:

* ``main`` is table 1. It compares SNGAN, a GAN conditioned on labels, the standard approach, and
  pairs mined in the batch (as printed) or over the training split.
* ``structure`` is table 2.
* ``ablation`` is table 3.
* ``robustness`` is figure 7. The extractor is a classifier that was trained on partly wrong labels.
  The conditional GAN gets the same wrong labels.
* ``curves`` is figures 4 and 8. It scores the cells of ``main`` after each of the minutes ``--at``
  and draws scores and losses next to the result.
* ``spaces`` is figure 6. It compares the given codes with fully clustered ones, and draws both.

Each score uses one sample for each of ``--count`` codes of the test split
(``scores/latent_space.py``). A code lies at a border if another class is among its 10 nearest
codes. The border effect is the accuracy at other codes minus the accuracy at borders. The run's
``samples/codes.png`` shows it by t-SNE.

Every part except ``curves`` can be resumed: existing runs, classifiers and features in WS are
reused. The script writes benchmarks/results/latent-space-gan-PART-NAME.json.

Settings are not chosen by scores on test codes: ``--set`` needs a file of ``validation_split.py``,
or ``--chosen`` as a statement that the settings are not tried here: they were chosen on such a file,
or are a budget.
"""

import argparse
import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from figures.latent_space import LatentSpace, draw_latent_spaces
from figures.training_curves import draw_training_curves
from scores.latent_space import load_or_train_classifier, measure_space, noisy_features, scores
from validation_split import refuse_trials_on_test

import spectral_ssl
from data_prep.maps.reader import open_maps
from downstream.features.clusters import compute_neighbour_purity
from downstream.features.store import read_features
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.tasks.codes.feature_codes import find_codes
from spectral_ssl.ground.errors import unknown_name
from spectral_ssl.ground.files import replace_nan, write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.run_folder import read_metrics

RESULTS = Path(__file__).parent / "results"
BATCH_MINED = ("nearest=batch", "farthest=batch")
OVER_THE_SET = "couples, mined over the set"
# name: settings, and the features: those of --features ("given"), the labels, or none
MAIN: dict[str, tuple[tuple[str, ...], str]] = {
    "SNGAN": (("conditioning=none", "reconstruction_weight=0"), "none"),
    "CGAN on labels": (("conditioning=code", "reconstruction_weight=0"), "labels"),
    "standard approach": (("conditioning=code", *BATCH_MINED), "given"),
    "couples, mined in the batch": (BATCH_MINED, "given"),
    OVER_THE_SET: ((), "given"),
}
ABLATION: dict[str, tuple[tuple[str, ...], str]] = {
    "adv": (("same_weight=0", "different_weight=0"), "given"),
    "adv + same": (("different_weight=0",), "given"),
    "adv + diff": (("same_weight=0",), "given"),
    "adv + same + diff": ((), "given"),
}
ROBUSTNESS = ("couples", "CGAN")
CELLS = {"main": MAIN, "curves": MAIN, "ablation": ABLATION, "robustness": ROBUSTNESS, "structure": (), "spaces": ()}
LOSSES = ("seconds", "loss", "discriminator")  # of metrics.jsonl; `loss` is that of G
NOISE = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and end with a message if a cell is unknown or features are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(CELLS))
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--recipe", default="lsc-gan-mnist")
    parser.add_argument("--data", type=Path, required=True, help="map file")
    parser.add_argument("--features", type=Path, nargs="*", default=[], help="runs or feature files")
    parser.add_argument("--cells", nargs="+", help="names of the cells to run [all]")
    parser.add_argument("--minutes", type=float, default=45.0, help="longest time of each training, in minutes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--noise", type=float, nargs="+", default=list(NOISE))
    parser.add_argument("--at", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0], help="minutes, for `curves`")
    parser.add_argument("--set", action="append", default=[], help="setting of all runs; repeatable")
    parser.add_argument("--chosen", action="store_true", help="the settings of --set are not tried here")
    parser.add_argument("--name", default="", help="suffix of the names of runs and result")
    parser.add_argument("--count", type=int, default=2000, help="number of codes of the test split")
    parser.add_argument("--classifier-epochs", type=int, default=2)
    parser.add_argument("--classifier-width", type=int, default=16)
    parser.add_argument("--classifier-views", action="store_true", help="augment photographs for the classifier")
    parser.add_argument("--frechet", type=int, default=0, help="images for the Fréchet distance by EfficientNet-Lite0")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    known = CELLS[arguments.part]
    for name in arguments.cells or ():
        if name not in known:
            parser.error(str(unknown_name("cell", name, list(known))))
    needs_features = arguments.part in ("structure", "spaces") or (
        isinstance(known, dict) and any(known[name][1] == "given" for name in arguments.cells or known)
    )
    if needs_features and not arguments.features:
        parser.error("give --features with a run or a feature file")
    if arguments.set and not arguments.chosen:
        refuse_trials_on_test(parser, arguments.data, arguments.set[0])
    return arguments


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.part == "structure":
        structure(arguments)
    elif arguments.part == "robustness":
        robustness(arguments)
    elif arguments.part == "curves":
        curves(arguments)
    elif arguments.part == "spaces":
        spaces(arguments)
    else:
        compare(MAIN if arguments.part == "main" else ABLATION, arguments)


def compare(cells: dict[str, tuple[tuple[str, ...], str]], arguments: argparse.Namespace) -> None:
    """Train every cell with every seed, score all by the same classifier."""
    maps = open_maps(arguments.data)
    classifier = load_or_train_classifier(maps, arguments)
    rows = []
    for name in arguments.cells or cells:
        settings, source = cells[name]
        features = arguments.features[0] if source == "given" else source
        for seed in arguments.seeds:
            run = trained(f"{arguments.part}-{name}", seed, settings, features, arguments)
            rows.append({"cell": name, "seed": seed, **scores(run, maps, classifier, arguments)})
            print_row(rows[-1])
            write({"classifier's accuracy on real test samples": classifier.test_accuracy, "rows": rows}, arguments)


def robustness(arguments: argparse.Namespace) -> None:
    """Compare pairs from features of a classifier trained on noisy labels with a GAN conditioned on these labels."""
    maps = open_maps(arguments.data)
    classifier = load_or_train_classifier(maps, arguments)
    rows = []
    for share in arguments.noise:
        features, labels = noisy_features(maps, share, arguments)
        test = maps.rows("test")
        purity = compute_neighbour_purity(read_features(features).values[test], maps.labels[test])
        given_labels = ("conditioning=code", "reconstruction_weight=0", *BATCH_MINED)
        cells = dict(zip(ROBUSTNESS, (((), features), (given_labels, labels)), strict=True))
        for name in arguments.cells or cells:
            settings, source = cells[name]
            for seed in arguments.seeds:
                run = trained(f"noise-{share:g}-{name}", seed, settings, source, arguments)
                measured = scores(run, maps, classifier, arguments)
                rows.append({"cell": name, "noise": share, "seed": seed, "purity of the features": purity, **measured})
                print_row(rows[-1])
                write({"classifier's accuracy on real test samples": classifier.test_accuracy, "rows": rows}, arguments)


def curves(arguments: argparse.Namespace) -> None:
    """Score the cells of ``main`` at several times of their training, and keep their losses."""
    maps = open_maps(arguments.data)
    classifier = load_or_train_classifier(maps, arguments)
    rows: list[dict[str, Any]] = []
    losses: dict[str, list[dict[str, float]]] = {}
    for name in arguments.cells or MAIN:
        settings, source = MAIN[name]
        features = arguments.features[0] if source == "given" else source
        folder = run_folder(f"curve-{name}", arguments.seeds[0], arguments)
        shutil.rmtree(folder, ignore_errors=True)
        for minutes in sorted(arguments.at):
            arguments.minutes = minutes
            run = trained(f"curve-{name}", arguments.seeds[0], settings, features, arguments)
            rows.append({"cell": name, "minutes": minutes, **scores(run, maps, classifier, arguments)})
            print_row(rows[-1])
            metrics = read_metrics(folder / "metrics.jsonl")
            losses[name] = [{key: row[key] for key in LOSSES} for row in metrics]
            measured = {"classifier's accuracy on real test samples": classifier.test_accuracy, "rows": rows}
            write({**measured, "losses": losses}, arguments)
    draw_training_curves(result_path(arguments).with_suffix(".png"), rows, losses)


def spaces(arguments: argparse.Namespace) -> None:
    """Compare the given codes with fully clustered ones: features of a classifier that learnt the right labels."""
    maps = open_maps(arguments.data)
    classifier = load_or_train_classifier(maps, arguments)
    test = maps.rows("test")
    rows: list[dict[str, Any]] = []
    drawn: dict[str, LatentSpace] = {}
    for name, features in (("given", arguments.features[0]), ("clustered", noisy_features(maps, 0.0, arguments)[0])):
        made_by = sha256(f"{Path(features).resolve()} {arguments.classifier_epochs}".encode()).hexdigest()[:8]
        run = trained(f"space-{name}-{made_by}", arguments.seeds[0], (), features, arguments)
        purity = compute_neighbour_purity(find_codes(run.plan.task_config, maps, test), maps.labels[test])
        measured = scores(run, maps, classifier, arguments)
        rows.append({"cell": name, "same class": {str(order): share for order, share in purity.items()}, **measured})
        print_row(rows[-1])
        drawn[name] = measure_space(run, maps, classifier)
        write({"classifier's accuracy on real test samples": classifier.test_accuracy, "rows": rows}, arguments)
    draw_latent_spaces(result_path(arguments).with_suffix(".png"), drawn, maps.classes)


def structure(arguments: argparse.Namespace) -> None:
    """Compute the shares of 1st, 2nd and 5th neighbours of the same class, over the training split."""
    maps = open_maps(arguments.data)
    train = maps.rows("train")
    rows = []
    for source in arguments.features:
        path = spectral_ssl.export(source, data=maps, out=feature_path(source, arguments), overwrite=True,
                                   workspace=arguments.workspace) if source.is_dir() else source  # fmt: skip
        values = read_features(path).values[train]
        shares = compute_neighbour_purity(values, maps.labels[train], threads=arguments.threads)
        rows.append({"cell": source.stem, "same class": {str(order): share for order, share in shares.items()}})
        print_row(rows[-1])
        write({"samples": len(train), "metric": "l1", "rows": rows}, arguments)


def feature_path(source: Path, arguments: argparse.Namespace) -> Path:
    return Path(arguments.workspace) / "features" / f"{source.name}-{arguments.data.stem}.h5"


def trained(
    name: str, seed: int, settings: tuple[str, ...], features: str | Path, arguments: argparse.Namespace
) -> TrainedRun:
    """Return the run of a cell: load it if it is complete, resume it if it was interrupted, or train it."""
    folder = run_folder(name, seed, arguments)
    if not (folder / "checkpoints" / "last.pt").exists():
        return spectral_ssl.pretrain(
            arguments.data,
            recipe=arguments.recipe,
            features=features,
            max_minutes=arguments.minutes,
            seed=seed,
            settings=[*settings, *arguments.set],
            out=folder,
            workspace=arguments.workspace,
        )
    run = load_run(folder)
    progress = run.checkpoint["place"]
    left = arguments.minutes - progress["seconds"] / 60
    if progress["epoch"] >= run.plan.train.epochs or left <= 0.01:
        return run
    return spectral_ssl.pretrain(arguments.data, resume=folder, max_minutes=left, workspace=arguments.workspace)


def run_folder(name: str, seed: int, arguments: argparse.Namespace) -> Path:
    # Other settings are another run, which must not be taken for this one.
    trial = f"-{sha256(' '.join(arguments.set).encode()).hexdigest()[:8]}" if arguments.set else ""
    title = f"lsc-{arguments.data.stem}-{name}{arguments.name}{trial}-{seed}".replace(" ", "-").replace(",", "")
    return Path(arguments.workspace) / "runs" / title


def print_row(row: dict[str, Any]) -> None:
    """Print the measured values of a row in one line."""
    shown = {key: value for key, value in row.items() if key not in ("cell", "config")}
    cells = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items())
    print(f"{row['cell']}: {', '.join(cells)}", flush=True)


def write(measured: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write the results so far."""
    result = replace_nan({"threads": arguments.threads, "environment": environment(), **measured})
    RESULTS.mkdir(exist_ok=True)
    write_text(result_path(arguments), json.dumps(result, indent=1, allow_nan=False) + "\n")


def result_path(arguments: argparse.Namespace) -> Path:
    return RESULTS / f"latent-space-gan-{arguments.part}-{arguments.data.stem}{arguments.name}.json"


if __name__ == "__main__":
    main()
