"""Answers beside their moments, in the order of the MR-GAN paper's figures (appendix D.2)."""

from pathlib import Path

import torch
from torch import Tensor

from downstream.figures.predictions import draw_images
from pretext.data.batch import Example
from pretext.losses.moment_matching import Moments, sample_moments
from pretext.losses.reconstruction import compose
from pretext.methods.mr_gan.model import MRGAN
from pretext.runs.trained_run import TrainedRun

SAMPLES_DRAWN = 6
BRIGHTEST = 0.995  # share of the dispersions that are drawn darker than white


def draw_moments(path: Path, run: TrainedRun, method: MRGAN, example: Example, answers: Tensor, ids: list[str]) -> None:
    """Input, truth, predicted and sample centre, predicted and sample dispersion, some samples; one line a picture.

    Centre and dispersion are mean and variance, of Laplace variants median and mean absolute deviation; the dispersion
    is the mean over the channels, in all pictures on one scale, and 0 where nothing was asked.

    Parameters
    ----------
    path : Path
        PNG to write.
    run : TrainedRun
        Of pictures.
    method : MRGAN
        The run's own; without a predictor the columns of the predicted moments are left out.
    example : Example
        What it was asked, (B, C, H, W).
    answers : Tensor, shape (B, K, C', H, W)
        What it answered.
    ids : list of str
        Names of the lines.
    """
    picture, config = run.plan.task_entry.picture, run.plan.task_config
    family = method.variant.family if method.variant is not None else "gaussian"
    centre, dispersion = ("mean", "variance") if family == "gaussian" else ("median", "deviation")
    composed = compose(example, answers)
    found = {"predicted": method.predicted_moments(example.condition), "sample": sample_moments(family, composed)}
    moments = {name: _where_asked(example, each) for name, each in found.items() if each is not None}
    everything = torch.cat([each.dispersion.flatten() for each in moments.values()])
    white = max(float(everything.quantile(BRIGHTEST)), 1e-12)

    columns = {"input": example.condition, "truth": picture(example.condition, example.target, config)}
    columns |= {f"{name} {centre}": picture(example.condition, each.centre, config) for name, each in moments.items()}
    columns |= {f"{name} {dispersion}": 2 * each.dispersion / white - 1 for name, each in moments.items()}
    columns |= {
        f"sample {number + 1}": picture(example.condition, answer, config)
        for number, answer in enumerate(composed[:, :SAMPLES_DRAWN].unbind(1))
    }
    draw_images(path, list(columns), list(columns.values()), ids)


def _where_asked(example: Example, moments: Moments) -> Moments:
    """The centre composed with what is known, and the dispersion's mean over channels, 0 outside the hole."""
    asked = (example.weight > 0).any(dim=1, keepdim=True)
    spread = moments.dispersion.mean(dim=1, keepdim=True)
    return Moments(compose(example, moments.centre[:, None])[:, 0], torch.where(asked, spread, 0.0))
