"""Draw predictions with their moments, in the order of the figures of the MR-GAN paper (appendix D.2)."""

from pathlib import Path

import torch
from torch import Tensor

from downstream.figures.predictions import INPUT, TRUTH, draw_images
from pretext.data.batch import Example
from pretext.losses.moment_matching import Moments, sample_moments
from pretext.losses.reconstruction import compose
from pretext.method import Method
from pretext.runs.trained_run import TrainedRun

SAMPLES_DRAWN = 6
BRIGHTEST = 0.995  # Share of the dispersions that are drawn darker than white.


def draw_moments(
    path: Path, run: TrainedRun, method: Method, example: Example, predictions: Tensor, ids: list[str]
) -> None:
    """Draw input, ground truth, centre, dispersion and some samples of each image in a row.

    Centre and dispersion are drawn as predicted and as computed from the samples. They are mean and
    variance; with Laplace variants they are median and mean absolute deviation. The dispersion is
    the mean over the channels. It has the same scale in all images, and it is 0 where the image is
    known.

    Parameters
    ----------
    path : Path
        PNG file to write.
    run : TrainedRun
        Run on images.
    method : Method
        Method of the run, which matches moments. Without a predictor of moments their columns are
        left out.
    example : Example
        Conditions and targets, (B, C, H, W).
    predictions : Tensor, shape (B, K, C', H, W)
        K predictions for each condition.
    ids : list of str
        Names of the rows.
    """
    to_image, config = run.plan.task_entry.to_image, run.plan.task_config
    family = method.moment_family
    assert family is not None
    centre, dispersion = ("mean", "variance") if family == "gaussian" else ("median", "deviation")
    composed = compose(example, predictions)
    computed = {"predicted": method.predicted_moments(example.condition), "sample": sample_moments(family, composed)}
    moments = {name: _hide_known(example, each) for name, each in computed.items() if each is not None}
    everything = torch.cat([each.dispersion.flatten() for each in moments.values()])
    white = max(float(everything.quantile(BRIGHTEST)), 1e-12)

    columns = {INPUT: example.condition, TRUTH: to_image(example.condition, example.target, config)}
    columns |= {f"{name} {centre}": to_image(example.condition, each.centre, config) for name, each in moments.items()}
    columns |= {f"{name} {dispersion}": 2 * each.dispersion / white - 1 for name, each in moments.items()}
    columns |= {
        f"sample {number + 1}": to_image(example.condition, sample, config)
        for number, sample in enumerate(composed[:, :SAMPLES_DRAWN].unbind(1))
    }
    draw_images(path, list(columns), list(columns.values()), ids)


def _hide_known(example: Example, moments: Moments) -> Moments:
    """Compose the centre with the known pixels; average the dispersion over channels and set it to 0 there."""
    is_unknown = (example.weight > 0).any(dim=1, keepdim=True)
    spread = moments.dispersion.mean(dim=1, keepdim=True)
    return Moments(compose(example, moments.centre[:, None])[:, 0], torch.where(is_unknown, spread, 0.0))
