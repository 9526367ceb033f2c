"""Score the samples of a latent-space-conditioned GAN by a classifier of real data.

Each score uses one sample for each of some codes of the test split. The main score is the share of
samples that a classifier assigns to the class of the code. The classifier is trained on the real
training split. For spectral maps there is a second score: the share of samples whose nearest real
training map is of that class. For images there is the Fréchet distance by EfficientNet-Lite0 (40 ms
per image), and the diversity of samples of one code by ST-LPIPS.

``noisy_features`` makes codes by a classifier whose training labels are partly wrong.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures.latent_space import LatentSpace, border_effect, draw_latent_spaces

from data_prep.maps.reader import MapFile
from downstream.features.store import Features, write_features
from downstream.metrics.class_score import (
    ClassifierNetwork,
    SampleClassifier,
    add_label_noise,
    compute_class_score,
    match_classes,
    match_classes_by_neighbour,
    train_classifier,
)
from downstream.metrics.diversity import make_perceptual_distance, prediction_diversity
from downstream.metrics.frechet import compute_image_features, frechet_distance, load_feature_network
from downstream.metrics.lpips import load_perceptual_distance
from downstream.metrics.pretrained.efficientnet_lite import load_class_head
from downstream.probes.intervals import compute_accuracy_interval
from pretext.data.standardise import Standardiser
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.image_views import ImageViewsConfig
from spectral_ssl.ground.files import atomic_path

ROWS_AT_ONCE = 256
BORDER_CODES, BORDER_MODES = 500, 4  # codes and samples per code of the border effect
DIVERSITY_CODES, DIVERSITY_MODES = 100, 5  # all ten pairs of five samples
VIEWS = ImageViewsConfig(crop=0.5, jittered=0.0, grey=0.0)  # views of photographs that train the classifier


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
        space = measure_space(run, maps, classifier)
        draw_latent_spaces(run.folder / "samples" / "codes.png", {"": space}, maps.classes)
        measured["border effect"] = border_effect(*space)
    if maps.basis.kind != "pixels":
        train = maps.rows("train")
        known = run.standardise(maps.read(train)).numpy()
        near = match_classes_by_neighbour(known, maps.labels[train], samples.numpy(), labels)
        measured["nearest real map is of the class"] = float(near.mean())
        ceiling = match_classes_by_neighbour(known, maps.labels[train], real.numpy(), labels)
        measured["the same of real test maps"] = float(ceiling.mean())
    elif find_spec("stlpips_pytorch") is not None:  # the extra `metrics`
        measured["diversity (ST-LPIPS)"] = measure_diversity(run, maps)
    if maps.basis.kind == "pixels" and arguments.frechet:
        network = load_feature_network()
        first, second = (compute_image_features(network, part[: arguments.frechet]) for part in (samples, real))
        measured[network.name] = frechet_distance(first, second).value
        head = load_class_head()  # The head has the classes of ImageNet, few of which occur in these data.
        for what, features in (("", first), (" of real samples", second)):
            logits = head(torch.from_numpy(features).float()).numpy()
            measured[f"class score{what} (EfficientNet-Lite0)"] = compute_class_score(logits)
    return measured


def measure_diversity(run: TrainedRun, maps: MapFile) -> float:
    """Measure by ST-LPIPS how different samples of one code are, on average over some codes of the test split."""
    _, predictions = run.complete(maps, select_held_out_rows(maps, DIVERSITY_CODES), DIVERSITY_MODES, seed=3)
    distance = make_perceptual_distance(load_perceptual_distance())
    return float(prediction_diversity(predictions, distance, seeded_generator("pairs")).mean())


def measure_space(run: TrainedRun, maps: MapFile, classifier: SampleClassifier) -> LatentSpace:
    """Measure for some codes of the test split how many of their samples show the class of the code."""
    rows = select_held_out_rows(maps, BORDER_CODES)
    example, predictions = run.complete(maps, rows, BORDER_MODES, seed=1)
    right = match_classes(classifier, predictions, maps.labels[rows]).mean(axis=1)
    return LatentSpace(example.condition.flatten(1).numpy(), maps.labels[rows], right)


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
    trained = f"{maps.digest[:8]}-{arguments.classifier_epochs}-{arguments.classifier_width}"
    stem = f"{maps.path.stem}-{trained}-noise-{share:g}"
    paths = folder / f"{stem}.h5", folder / f"{stem}-labels.h5"
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
