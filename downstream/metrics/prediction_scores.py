"""Score several predictions for each condition: how near they are to the truth, and how diverse they are.

Every method is scored on the same corrupted inputs. The scores depend on the kind of data: images,
spectral maps, or the toys, whose correct predictions are all known.

Letters in shapes: N conditions, K predictions for each, C x H x W values of a map.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from downstream.metrics.diversity import make_perceptual_distance, make_rms_distance, prediction_diversity
from downstream.metrics.frechet import FeatureNetwork, compute_image_features, frechet_distance
from downstream.metrics.lpips import PerceptualDistance, perceptual_distances
from downstream.metrics.modes import score_modes
from downstream.metrics.psnr_ssim import peak_signal_noise_ratio, structural_similarity
from downstream.metrics.retrieval import score_reconstruction_retrieval
from pretext.data.batch import Example
from pretext.losses.reconstruction import sample_error
from pretext.tasks.toys.curve import compute_curve
from pretext.tasks.toys.mixture import MODES, compute_mixture_centres
from pretext.training.distributed import ALONE, Distributed

TOY_RADIUS = 0.3  # Distance within which a prediction hits a mode; modes are up to 14 apart.
MIXTURE_REACH = 3.0  # Standard deviations from a centre within which a point belongs to its mode.
MIXTURE_LEAST = 0.2  # Part of its fair share of all points that a mode must have to count as found.
AVERAGED = 4  # Predictions for each condition over which PSNR, SSIM and the perceptual distance are averaged.


@dataclass(frozen=True)
class ImageMetrics:
    """Networks for the scores of images.

    Attributes
    ----------
    distance : PerceptualDistance or None
        Perceptual distance; None if the images are too small for it.
    features : FeatureNetwork
        Network of the Fréchet distance.
    true_features : ndarray, shape (N, D)
        Features of the true images.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import ImageMetrics, compute_image_features, load_feature_network
    >>> network, truth = load_feature_network(), np.zeros((3, 1, 28, 28))
    >>> metrics = ImageMetrics(None, network, compute_image_features(network, truth))
    >>> metrics.true_features.shape
    (3, 1280)
    """

    distance: PerceptualDistance | None
    features: FeatureNetwork
    true_features: NDArray[np.float64]


def score_errors(example: Example, predictions: Tensor) -> dict[str, float]:
    """Compute the weighted mean absolute error of predictions.

    Parameters
    ----------
    example : Example
        N targets with weights.
    predictions : Tensor, shape (N, K, C, H, W)
        K predictions for each condition.

    Returns
    -------
    dict of str to float
        ``error``: mean over all predictions. ``error of the best``: mean over the best prediction
        for each condition. ``standard error``: uncertainty of ``error``, from the spread over the
        conditions. All are at least 0 and averaged in float64.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import score_errors
    >>> from pretext.data import Example
    >>> target = torch.zeros(2, 1, 1, 1)
    >>> example = Example(condition=target, target=target, weight=torch.ones_like(target))
    >>> score_errors(example, torch.tensor([1.0, 3.0, 1.0, 3.0]).reshape(2, 2, 1, 1, 1))
    {'error': 2.0, 'error of the best': 1.0, 'standard error': 0.0}
    """
    return _summarise(compute_input_errors(example, predictions))


def _summarise(errors: NDArray[np.float64]) -> dict[str, float]:
    """Average the errors of inputs (N, 2) of ``compute_input_errors``."""
    mean, best = torch.from_numpy(errors).unbind(1)  # (N,)
    return {
        "error": mean.mean().item(),
        "error of the best": best.mean().item(),
        "standard error": mean.std().item() / len(errors) ** 0.5,
    }


def compute_input_errors(example: Example, predictions: Tensor) -> NDArray[np.float64]:
    """Compute the weighted mean absolute errors for each input.

    Parameters
    ----------
    example : Example
        N targets with weights.
    predictions : Tensor, shape (N, K, C, H, W)
        K predictions for each condition.

    Returns
    -------
    ndarray, shape (N, 2), float64
        Mean error over the K predictions, and error of the best one.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import compute_input_errors
    >>> from pretext.data import Example
    >>> target = torch.zeros(1, 1, 1, 1)
    >>> example = Example(condition=target, target=target, weight=torch.ones_like(target))
    >>> compute_input_errors(example, torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1, 1))
    array([[2., 1.]])
    """
    errors = torch.stack([sample_error(sample, example) for sample in predictions.unbind(1)], dim=1).double()  # (N, K)
    return torch.stack([errors.mean(dim=1), errors.min(dim=1).values], dim=1).numpy()


def score_images(
    truth: Tensor, predictions: Tensor, metrics: ImageMetrics, generator: torch.Generator
) -> dict[str, float]:
    """Compute the scores of predicted images.

    Parameters
    ----------
    truth : Tensor, shape (N, C, H, W)
        True images in [-1, 1].
    predictions : Tensor, shape (N, K, C, H, W)
        K predicted images for each condition, composed with the known pixels.
    metrics : ImageMetrics
        Networks of the perceptual distance and of the Fréchet distance.
    generator : torch.Generator
        Random number generator that draws the pairs for the diversity.

    Returns
    -------
    dict of str to float
        PSNR, SSIM and the perceptual distance, each over the first 4 predictions for every
        condition. PSNR is that of the mean squared error over all images, in dB. The Fréchet
        distance compares the first predictions with the true images. The diversity needs K >= 2.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import ImageMetrics, compute_image_features, load_feature_network, score_images
    >>> truth = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    >>> network = load_feature_network()
    >>> metrics = ImageMetrics(None, network, compute_image_features(network, truth))
    >>> scores = score_images(truth, truth[:, None], metrics, torch.Generator())
    >>> scores["PSNR"], scores["SSIM"]
    (120.0, 1.0)
    """
    averaged = predictions[:, :AVERAGED]  # (N, k, C, H, W)
    repeated = truth[:, None].expand_as(averaged).flatten(0, 1)
    flat = averaged.flatten(0, 1)  # (N k, C, H, W)
    squared = 10 ** (-peak_signal_noise_ratio(flat, repeated) / 10)  # relative to the range of 2, squared
    scores = {
        "PSNR": float(-10 * np.log10(max(float(squared.mean()), 1e-12))),
        "SSIM": float(structural_similarity(flat, repeated).mean()),
    }
    if metrics.distance is not None:
        scores[metrics.distance.name] = float(perceptual_distances(metrics.distance, flat, repeated).mean())
        if predictions.shape[1] > 1:
            diversity = prediction_diversity(predictions, make_perceptual_distance(metrics.distance), generator)
            scores[f"diversity ({metrics.distance.name})"] = float(diversity.mean())
    features = metrics.features
    distance = frechet_distance(compute_image_features(features, predictions[:, 0]), metrics.true_features)
    scores[features.name] = distance.value
    return scores


def score_spectral_maps(
    target: Tensor, predictions: Tensor, valid: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Compute the scores of predicted spectral maps, standardised.

    Parameters
    ----------
    target : Tensor, shape (N, C, H, W)
        Clean maps.
    predictions : Tensor, shape (N, K, C, H, W)
        K reconstructions of each map.
    valid : Tensor, shape (C, H, W), bool
        Cells that hold a coefficient.
    generator : torch.Generator
        Random number generator that draws the pairs for the diversity.

    Returns
    -------
    dict of str to float
        Retrieval of the clean map by the first prediction (mean average precision and recall at 1,
        from 0 to 1). With K >= 2 also retrieval by the prediction of each condition that is nearest to
        its target (mean absolute difference), and the diversity.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import score_spectral_maps
    >>> target = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> valid = torch.ones(1, 3, 3, dtype=torch.bool)
    >>> score_spectral_maps(target, target[:, None], valid, torch.Generator())
    {'reconstruction mAP': 1.0, 'recall at 1': 1.0}
    """
    retrieval = score_reconstruction_retrieval(predictions[:, 0][:, valid].numpy(), target[:, valid].numpy())
    scores = {"reconstruction mAP": retrieval.mean_average_precision, "recall at 1": retrieval.recall_at_1}
    if predictions.shape[1] > 1:
        difference = (predictions - target[:, None])[:, :, valid].abs().mean(dim=2)  # (N, K)
        best = predictions[torch.arange(len(predictions)), difference.argmin(dim=1)]  # (N, C, H, W)
        of_best = score_reconstruction_retrieval(best[:, valid].numpy(), target[:, valid].numpy())
        scores["mAP of the best"] = of_best.mean_average_precision
        diversity = prediction_diversity(predictions, make_rms_distance(valid), generator)
        scores["diversity (RMS, standardised)"] = float(diversity.mean())
    return scores


def score_toy(example: Example, predictions: Tensor) -> dict[str, float]:
    """Compute how predictions are distributed over the two modes of the toy.

    Parameters
    ----------
    example : Example
        N conditions of the task ``toy``, (N, 1, 1, 1).
    predictions : Tensor, shape (N, K, 3, 1, 1)
        K predictions for each condition.

    Returns
    -------
    dict of str to float
        Shares from 0 to 1 and the mean distance to the nearest mode; see ``score_modes``.

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1)
    >>> example = Example(condition=x, target=compute_curve(x), weight=torch.ones(5, 3, 1, 1))
    >>> score_toy(example, torch.stack([compute_curve(x), -compute_curve(x)], dim=1))["both modes found"]
    1.0
    """
    positive = compute_curve(example.condition)
    scores = score_modes(predictions, torch.stack([positive, -positive], dim=1), TOY_RADIUS)
    return {
        f"within {TOY_RADIUS} of a mode": scores.within,
        "phantom": scores.phantom,
        "share of the positive mode": scores.shares[0],
        "both modes found": scores.coverage,
        "distance to the nearest mode": scores.distance,
    }


def score_mixture(predictions: Tensor, spread: float) -> dict[str, float]:
    """Compute how predictions are distributed over the eight modes of the mixture.

    Parameters
    ----------
    predictions : Tensor, shape (N, K, 2, 1, 1)
        K points in the plane for each of N conditions.
    spread : float
        Standard deviation of each mode.

    Returns
    -------
    dict of str to float
        ``within 3 sigma``: share of the points within 3 standard deviations of a centre.
        ``modes found``: number of modes with at least 2.5 % of all points, a fifth of their fair
        share, within 3 standard deviations. ``smallest share``, ``largest share``: of a mode.

    Examples
    --------
    >>> points = compute_mixture_centres().reshape(8, 1, 2, 1, 1)
    >>> score_mixture(points, 0.1)
    {'within 3 sigma': 1.0, 'modes found': 8.0, 'smallest share': 0.125, 'largest share': 0.125}
    """
    points = predictions.flatten(0, 1).flatten(1)  # (N K, 2)
    nearest, nearest_mode = torch.cdist(points, compute_mixture_centres()).min(dim=1)
    within = nearest <= MIXTURE_REACH * spread
    shares = torch.bincount(nearest_mode[within], minlength=MODES) / len(points)
    return {
        "within 3 sigma": within.double().mean().item(),
        "modes found": float((shares >= MIXTURE_LEAST / MODES).sum()),
        "smallest share": shares.min().item(),
        "largest share": shares.max().item(),
    }


def score_methods(
    methods: Mapping[str, Callable[[Example], Tensor]],
    example: Example,
    score: Callable[[Tensor], dict[str, float]],
    processes: Distributed = ALONE,
) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Compute a row of scores for each method, and its errors for each input.

    Parameters
    ----------
    methods : mapping of str to callable
        Functions that return predictions (N, K, C, H, W) for an example, by the names of their
        rows.
    example : Example
        N conditions with targets.
    score : callable
        Function of the predictions that returns further scores.
    processes : Distributed
        Processes that share the rows. All get the whole table.

    Returns
    -------
    rows : list of dict
        Rows in the order of the methods: the name under the key ``answers``, the errors of
        ``score_errors``, and the further scores.
    errors : dict of str to ndarray, shape (N, 2), float64
        The errors of ``compute_input_errors`` by method.

    Examples
    --------
    >>> target = torch.zeros(2, 1, 1, 1)
    >>> example = Example(condition=target, target=target, weight=torch.ones_like(target))
    >>> rows, errors = score_methods({"ones": lambda example: torch.ones(2, 1, 1, 1, 1)}, example, lambda _: {})
    >>> rows[0]["answers"], rows[0]["error"], errors["ones"].shape
    ('ones', 1.0, (2, 2))
    """

    def make_row(name: str, predict: Callable[[Example], Tensor]) -> tuple[dict[str, Any], NDArray[np.float64]]:
        predictions = predict(example)
        errors = compute_input_errors(example, predictions)
        return {"answers": name, **_summarise(errors), **score(predictions)}, errors

    made = processes.share_with_all(processes.run_in_turn([partial(make_row, *method) for method in methods.items()]))
    return [row for row, _ in made], {row["answers"]: errors for row, errors in made}
