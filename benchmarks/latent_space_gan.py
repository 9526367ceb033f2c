"""Compare the latent-space-conditioned GAN with its baselines, ablate its losses, and add noise to its labels.

    python benchmarks/latent_space_gan.py main --data MAPS --features RUN --minutes 45 --workspace WS
    python benchmarks/latent_space_gan.py ablation --data MAPS --features RUN --seeds 0 1 2 --workspace WS
    python benchmarks/latent_space_gan.py robustness --data MAPS --workspace WS
    python benchmarks/latent_space_gan.py structure --data MAPS --features RUN RUN --workspace WS
    python benchmarks/latent_space_gan.py curves --data MAPS --features RUN --at 0.5 1 2 4 --workspace WS

The parts repeat tables and figures of the paper:

* ``main`` is table 1. It compares SNGAN, a GAN conditioned on labels, the standard approach, and
  pairs mined in the batch (as printed) or over the training split.
* ``structure`` is table 2.
* ``ablation`` is table 3.
* ``robustness`` is figure 7. The extractor is a classifier that was trained on partly wrong labels.
  The conditional GAN gets the same wrong labels.
* ``curves`` is figures 4 and 8. It scores the cells of ``main`` after each of the minutes ``--at``
  and draws the scores next to the result.

Each score uses one sample for each of ``--count`` codes of the test split. The main score is the
share of samples that a classifier assigns to the class of the code. The classifier is trained on
the real training split. The result also holds its accuracy on real test samples. For spectral maps
there is a second score: the share of samples whose nearest real training map is of that class. For
images there is the Fréchet distance by EfficientNet-Lite0 (``--frechet``; 40 ms per image).

A code lies at a border if another class is among its 10 nearest codes. The border effect is the
accuracy at other codes minus the accuracy at borders. The run's ``samples/codes.png`` shows it by
t-SNE.

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

import numpy as np
import torch
from figures.latent_space import border_effect, draw_latent_space
from validation_split import refuse_trials_on_test

import spectral_ssl
from data_prep.maps.reader import MapFile, open_maps
from downstream.features.clusters import compute_neighbour_purity
from downstream.features.store import Features, read_features, write_features
from downstream.metrics.class_score import (
    ClassifierNetwork,
    SampleClassifier,
    add_label_noise,
    compute_class_score,
    match_classes,
    match_classes_by_neighbour,
    train_classifier,
)
from downstream.metrics.frechet import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.pretrained.efficientnet_lite import load_class_head
from downstream.probes.intervals import compute_accuracy_interval
from pretext.data.standardise import Standardiser
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.tasks.image_views import ImageViewsConfig
from spectral_ssl.ground.errors import unknown_name
from spectral_ssl.ground.files import atomic_path, replace_nan, write_text
from spectral_ssl.ground.provenance import environment

RESULTS = Path(__file__).parent / "results"
ROWS_AT_ONCE = 256
BORDER_CODES, BORDER_MODES = 500, 4  # codes and samples per code of the border effect
BATCH_MINED = ("nearest=batch", "farthest=batch")
# name: settings, and the features: those of --features ("given"), the labels, or none
MAIN: dict[str, tuple[tuple[str, ...], str]] = {
    "SNGAN": (("conditioning=none", "reconstruction_weight=0"), "none"),
    "CGAN on labels": (("conditioning=code", "reconstruction_weight=0"), "labels"),
    "standard approach": (("conditioning=code", *BATCH_MINED), "given"),
    "couples, mined in the batch": (BATCH_MINED, "given"),
    "couples, mined over the set": ((), "given"),
}
ABLATION: dict[str, tuple[tuple[str, ...], str]] = {
    "adv": (("same_weight=0", "different_weight=0"), "given"),
    "adv + same": (("different_weight=0",), "given"),
    "adv + diff": (("same_weight=0",), "given"),
    "adv + same + diff": ((), "given"),
}
ROBUSTNESS = ("couples", "CGAN")
CELLS = {"main": MAIN, "curves": MAIN, "ablation": ABLATION, "robustness": ROBUSTNESS, "structure": ()}
VIEWS = ImageViewsConfig(crop=0.5, jittered=0.0, grey=0.0)  # views of photographs that train the classifier
NOISE = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


def parse_arguments() -> argparse.Namespace:
    """Read the command line, and end with a message if a cell is unknown or features are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["main", "ablation", "robustness", "structure", "curves"])
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
    needs_features = arguments.part == "structure" or (
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
    """Score the cells of ``main`` at several times of their training."""
    maps = open_maps(arguments.data)
    classifier = load_or_train_classifier(maps, arguments)
    rows: list[dict[str, Any]] = []
    for name in arguments.cells or MAIN:
        settings, source = MAIN[name]
        features = arguments.features[0] if source == "given" else source
        shutil.rmtree(run_folder(f"curve-{name}", arguments.seeds[0], arguments), ignore_errors=True)
        for minutes in sorted(arguments.at):
            arguments.minutes = minutes
            run = trained(f"curve-{name}", arguments.seeds[0], settings, features, arguments)
            rows.append({"cell": name, "minutes": minutes, **scores(run, maps, classifier, arguments)})
            print_row(rows[-1])
            write({"classifier's accuracy on real test samples": classifier.test_accuracy, "rows": rows}, arguments)
    draw_curves(result_path(arguments).with_suffix(".png"), rows)


def draw_curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw a panel for each score with a line for each cell."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    shown = ("conditional accuracy", "class score (classifier)", "Fréchet distance (classifier)")
    for axes, score in zip(figure.subplots(1, len(shown)), shown, strict=True):
        for name in dict.fromkeys(row["cell"] for row in rows):
            cell_rows = [row for row in rows if row["cell"] == name]
            axes.plot([row["seconds"] for row in cell_rows], [row[score] for row in cell_rows], marker="o", label=name)
        axes.set(xlabel="seconds of training", title=score, xscale="log")
        seconds = sorted({60 * row["minutes"] for row in rows})
        axes.set_xticks(seconds, [f"{each:g}" for each in seconds])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    axes.set_yscale("log")
    figure.axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


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


def scores(
    run: TrainedRun, maps: MapFile, classifier: SampleClassifier, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Score the samples of a run for codes of the test split."""
    rows = select_held_out_rows(maps, arguments.count)
    blocks = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
    predictions = torch.cat([run.complete(maps, block, 1, first=index)[1] for index, block in enumerate(blocks)])
    labels = maps.labels[rows]
    right = match_classes(classifier, predictions, labels)[:, 0]
    samples, real = predictions[:, 0], run.standardise(maps.read(rows))
    progress = run.checkpoint["place"]
    _, twice = run.complete(maps, rows[:BORDER_CODES], 2, seed=2)
    measured: dict[str, Any] = {
        "conditional accuracy": float(right.mean()),
        "95 % interval": compute_accuracy_interval(float(right.mean()), len(right)),
        "class score (classifier)": compute_class_score(classifier.logits(samples)),
        "class score of real samples (classifier)": compute_class_score(classifier.logits(real)),
        "Fréchet distance (classifier)": frechet_distance(
            classifier.features(samples), classifier.features(real)
        ).value,
        # Both numbers are mean absolute differences. The first is the effect of the noise, the second
        # the distance to the real sample of the code.
        "two samples of a code differ by": (twice[:, 0] - twice[:, 1]).abs().mean().item(),
        "sample and the code's own differ by": (samples - real).abs().mean().item(),
        "codes": len(rows),
        "epochs": progress["epoch"],
        "steps": progress["step"],
        "seconds": progress["seconds"],
        "config": run.plan.to_toml(),
    }
    if run.plan.task_config.features not in ("none", "labels"):
        measured["border effect"] = borders(run, maps, classifier)
    if maps.basis.kind != "pixels":
        train = maps.rows("train")
        known = run.standardise(maps.read(train)).numpy()
        near = match_classes_by_neighbour(known, maps.labels[train], samples.numpy(), labels)
        measured["nearest real map is of the class"] = float(near.mean())
        ceiling = match_classes_by_neighbour(known, maps.labels[train], real.numpy(), labels)
        measured["the same of real test maps"] = float(ceiling.mean())
    elif arguments.frechet:
        network = load_feature_network()
        first, second = (compute_image_features(network, part[: arguments.frechet]) for part in (samples, real))
        measured[network.name] = frechet_distance(first, second).value
        head = load_class_head()  # The head has the classes of ImageNet, few of which occur in these data.
        for what, features in (("", first), (" of real samples", second)):
            logits = head(torch.from_numpy(features).float()).numpy()
            measured[f"class score{what} (EfficientNet-Lite0)"] = compute_class_score(logits)
    return measured


def borders(run: TrainedRun, maps: MapFile, classifier: SampleClassifier) -> float:
    """Compute the border effect, and draw the codes among the samples of the run."""
    rows = select_held_out_rows(maps, BORDER_CODES)
    example, predictions = run.complete(maps, rows, BORDER_MODES, seed=1)
    right = match_classes(classifier, predictions, maps.labels[rows]).mean(axis=1)
    codes = example.condition.flatten(1).numpy()
    draw_latent_space(run.folder / "samples" / "codes.png", codes, maps.labels[rows], right, maps.classes)
    return border_effect(codes, maps.labels[rows], right)


def load_or_train_classifier(maps: MapFile, arguments: argparse.Namespace) -> SampleClassifier:
    """Load the classifier of a map file, or train it and save it."""
    epochs, width = arguments.classifier_epochs, arguments.classifier_width
    name = f"classifier-{maps.digest[:16]}-{epochs}-{width}{'-views' if arguments.classifier_views else ''}.pt"
    path = arguments.workspace / "cache" / name
    if path.exists():
        content = torch.load(path, weights_only=True)
        network = ClassifierNetwork(maps.basis.shape, len(maps.classes), width)
        network.load_state_dict(content["network"])
        return SampleClassifier(network, content["accuracy"])
    views = VIEWS if arguments.classifier_views else None
    classifier = train_classifier(maps, Standardiser.of(maps), epochs=epochs, width=width, views=views)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save({"network": classifier.network.state_dict(), "accuracy": classifier.test_accuracy}, temporary)
    print(f"classifier: {classifier.test_accuracy:.4f} of real test samples", flush=True)
    return classifier


def noisy_features(maps: MapFile, share: float, arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Write two feature files: features of a classifier trained on noisy labels, and these labels as one-hot codes."""
    folder = arguments.workspace / "features"
    paths = folder / f"{maps.path.stem}-noise-{share:g}.h5", folder / f"{maps.path.stem}-noise-{share:g}-labels.h5"
    if all(path.exists() for path in paths):
        return paths
    standardise, train = Standardiser.of(maps), maps.rows("train")
    epochs, width = arguments.classifier_epochs, arguments.classifier_width
    extractor = train_classifier(maps, standardise, epochs=epochs, width=width, seed=1, label_noise=share)
    blocks = np.array_split(maps.rows(), max(1, len(maps) // ROWS_AT_ONCE))
    values = np.concatenate([extractor.features(standardise(maps.read(block))) for block in blocks])
    labels = maps.labels.copy()  # Labels of the test split stay correct, because they condition the scored samples.
    labels[train] = add_label_noise(maps.labels[train], len(maps.classes), share, seed=1)
    one_hot = np.eye(len(maps.classes), dtype=np.float32)[labels]
    about = {
        "layer": "last",
        "pooling": "mean",
        "checkpoint_digest": f"classifier, label noise {share:g}",
        "data_digest": maps.digest,
        "config": "",
        "basis": maps.basis.to_json(),
        "source": maps.source,
    }
    for path, content in zip(paths, (values, one_hot), strict=True):
        write_features(path, Features(content, maps.ids, maps.labels, maps.splits, maps.classes, about), overwrite=True)
    return paths


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
