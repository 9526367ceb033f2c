"""Scores of several answers to each question: how near they come to the truth, and how much they differ.

Every method is scored on the same corrupted inputs. What is computed depends on what the data are: images, spectral
maps, or the toy, whose right answers are all known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstream.metrics.diversity import answer_diversity, perceptual, root_mean_square
from downstream.metrics.frechet import FeatureNetwork, frechet_distance, image_features
from downstream.metrics.lpips import PerceptualDistance, perceptual_distances
from downstream.metrics.modes import mode_report
from downstream.metrics.psnr_ssim import peak_signal_noise_ratio, structural_similarity
from downstream.metrics.retrieval import reconstruction_retrieval
from pretext.data.batch import Example
from pretext.losses.reconstruction import sample_error
from pretext.tasks.toys.curve import curve
from pretext.tasks.toys.mixture import MODES, mixture_centres
from pretext.training.distributed import ALONE, Processes

TOY_RADIUS = 0.3  # what counts as a hit of a mode (modes are up to 14 apart)
MIXTURE_REACH = 3.0  # standard deviations from a centre within which a point belongs to its mode
MIXTURE_LEAST = 0.2  # of its fair share of all points that a mode must get to be found
PIXELS_ANSWERS = 4  # answers to each input over which PSNR, SSIM and the perceptual distance are averaged


@dataclass(frozen=True)
class ImageMeasures:
    """The networks that measure images.

    Attributes
    ----------
    distance : PerceptualDistance or None
        None for images too small for it.
    features : FeatureNetwork
        For the Fréchet distance.
    of_truth : ndarray, shape (N, D)
        What it says of the true images.
    """

    distance: PerceptualDistance | None
    features: FeatureNetwork
    of_truth: NDArray[np.float64]


def error_scores(example: Example, answers: Tensor) -> dict[str, float]:
    """Weighted mean absolute error of answers (N, K, C, H, W): of all, of each input's best, and its uncertainty."""
    errors = torch.stack([sample_error(answer, example) for answer in answers.unbind(1)], dim=1).double()  # (N, K)
    return {
        "error": errors.mean().item(),
        "error of the best": errors.min(dim=1).values.mean().item(),
        "standard error": errors.mean(dim=1).std().item() / len(errors) ** 0.5,
    }


def image_scores(
    truth: Tensor, answers: Tensor, measures: ImageMeasures, generator: torch.Generator
) -> dict[str, float]:
    """Scores of images.

    Parameters
    ----------
    truth : Tensor, shape (N, C, H, W)
        In [-1, 1].
    answers : Tensor, shape (N, K, C, H, W)
        Composed with what is known.
    measures : ImageMeasures
        Networks.
    generator : torch.Generator
        Draws the pairs of the diversity.

    Returns
    -------
    dict of str to float
        PSNR (of the mean squared error over all, in dB), SSIM and the perceptual distance, each over the first 4
        answers to every input; the Fréchet distance of the first answers to the truths; the diversity.
    """
    several = answers[:, :PIXELS_ANSWERS]  # (N, k, C, H, W)
    repeated = truth[:, None].expand_as(several).flatten(0, 1)
    flat = several.flatten(0, 1)  # (N k, C, H, W)
    squared = 10 ** (-peak_signal_noise_ratio(flat, repeated) / 10)  # relative to the range of 2, squared
    scores = {
        "PSNR": float(-10 * np.log10(max(float(squared.mean()), 1e-12))),
        "SSIM": float(structural_similarity(flat, repeated).mean()),
    }
    if measures.distance is not None:
        scores[measures.distance.name] = float(perceptual_distances(measures.distance, flat, repeated).mean())
        if answers.shape[1] > 1:
            diversity = answer_diversity(answers, perceptual(measures.distance), generator)
            scores[f"diversity ({measures.distance.name})"] = float(diversity.mean())
    features = measures.features
    distance = frechet_distance(image_features(features, answers[:, 0]), measures.of_truth)
    scores[features.name] = distance.value
    return scores


def spectral_scores(target: Tensor, answers: Tensor, valid: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Scores of standardised spectral maps: retrieval of the clean map by the first answer, and diversity.

    Parameters
    ----------
    target : Tensor, shape (N, C, H, W)
        Clean maps.
    answers : Tensor, shape (N, K, C, H, W)
        Reconstructions.
    valid : Tensor, shape (C, H, W), bool
        Cells that hold a coefficient.
    generator : torch.Generator
        Draws the pairs of the diversity.
    """
    found = reconstruction_retrieval(answers[:, 0][:, valid].numpy(), target[:, valid].numpy())
    scores = {"reconstruction mAP": found.mean_average_precision, "recall at 1": found.recall_at_1}
    if answers.shape[1] > 1:
        diversity = answer_diversity(answers, root_mean_square(valid), generator)
        scores["diversity (RMS, standardised)"] = float(diversity.mean())
    return scores


def toy_scores(example: Example, answers: Tensor) -> dict[str, float]:
    """Where answers (N, K, 3, 1, 1) lie among the two modes of the toy."""
    positive = curve(example.condition)
    report = mode_report(answers, torch.stack([positive, -positive], dim=1), TOY_RADIUS)
    return {
        f"within {TOY_RADIUS} of a mode": report.within,
        "phantom": report.phantom,
        "share of the positive mode": report.shares[0],
        "both modes found": report.coverage,
        "distance to the nearest mode": report.distance,
    }


def mixture_scores(answers: Tensor, spread: float) -> dict[str, float]:
    """How answers (N, K, 2, 1, 1) spread over the eight modes of the mixture, whose standard deviation is ``spread``.

    A mode is found when at least a fifth of its fair share of all answers, 2.5 %, lies within 3 standard deviations of
    its centre.
    """
    points = answers.flatten(0, 1).flatten(1)  # (N K, 2)
    nearest, which = torch.cdist(points, mixture_centres()).min(dim=1)
    within = nearest <= MIXTURE_REACH * spread
    shares = torch.bincount(which[within], minlength=MODES) / len(points)
    return {
        "within 3 sigma": within.double().mean().item(),
        "modes found": float((shares >= MIXTURE_LEAST / MODES).sum()),
        "smallest share": shares.min().item(),
        "largest share": shares.max().item(),
    }


def reconstruction_rows(
    methods: Mapping[str, Callable[[Example], Tensor]],
    example: Example,
    score: Callable[[Tensor], dict[str, float]],
    processes: Processes = ALONE,
) -> list[dict[str, Any]]:
    """One row a method: its name, its errors, and what ``score`` says of its answers (N, K, C, H, W).

    Each of several processes makes some of the rows; all get the table.
    """

    def row(name: str, answer: Callable[[Example], Tensor]) -> dict[str, Any]:
        answers = answer(example)
        return {"answers": name, **error_scores(example, answers), **score(answers)}

    return processes.for_all(processes.in_turn([partial(row, *method) for method in methods.items()]))
