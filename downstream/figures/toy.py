"""The toy's picture: what the first paper shows in its figure 3, of a trained run."""

from pathlib import Path

import numpy as np
import torch

from pretext.method import Method
from pretext.methods.cgml.latent_path import InferredPath, follow
from pretext.methods.cgml.model import CGML
from pretext.tasks.toys.curve import curve
from spectral_ssl.ground.files import atomic_path

CONDITIONS, ANSWERS, CELLS = 201, 20, 120


def draw_toy(path: Path, method: CGML, regression: Method | None = None, seed: int = 0) -> None:
    """Draw, for each dimension of y over x: the truth, answers by L1 alone, without rho, E[rho], answers with rho.

    Parameters
    ----------
    path : Path
        PNG to write.
    method : CGML
        Trained on the task ``toy``.
    regression : Method, optional
        The same network trained on L1 alone; its column stays empty without it.
    seed : int
        Of the latents.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    x = torch.linspace(-1, 1, CONDITIONS)[:, None, None, None]  # (N, 1, 1, 1)
    truth = curve(x).flatten(1)  # (N, 3)
    columns = {
        "truth": torch.stack([truth, -truth], dim=1),  # (N, J, 3)
        "L1 alone": regression.complete(x, 1, torch.Generator().manual_seed(seed)).flatten(2) if regression else None,
        "without rho": _answers(method, x, False, seed),
        "E[rho]": None,
        "with rho": _answers(method, x, True, seed),
    }
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    axes = np.asarray(figure.subplots(3, len(columns), sharex=True, sharey=True))
    for dimension in range(3):
        for column, (name, answers) in enumerate(columns.items()):
            axis = axes[dimension, column]
            if dimension == 0:
                axis.set_title(name, fontsize=10)
            axis.set_ylim(-4.6, 4.6)
            axis.tick_params(labelsize=7)
            if name == "E[rho]":
                image = axis.imshow(
                    _rho_map(method, dimension, seed).numpy(),
                    extent=(-1, 1, -4.6, 4.6),
                    origin="lower",
                    aspect="auto",
                    cmap="viridis",
                )
                figure.colorbar(image, ax=axis)
            elif answers is not None:
                number = answers.shape[1]
                axis.plot(
                    x.flatten().repeat_interleave(number).numpy(),
                    answers[:, :, dimension].flatten().numpy(),
                    ".",
                    markersize=1.5,
                )
            else:
                axis.text(0, 0, "no such run given", ha="center", va="center", fontsize=8)
        axes[dimension, 0].set_ylabel(f"y{dimension + 1}")
    for axis in axes[-1]:
        axis.set_xlabel("x")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _inferred(method: CGML, x: torch.Tensor, use_rho: bool, seed: int) -> tuple[torch.Tensor, InferredPath]:
    """H and the latent paths of 20 answers to each x (N, 1, 1, 1)."""
    config = method.config
    bottleneck = method.encoder(x)
    first = method.infer_path(bottleneck, ANSWERS, torch.Generator().manual_seed(seed)).latents[0]
    steps = config.inference_steps or config.steps
    path = follow(
        method.latent_optimiser,
        bottleneck,
        first,
        steps=steps,
        domain=config.domain,
        use_rho=use_rho,
        settle=config.settle,
    )
    return bottleneck, path


@torch.no_grad()
def _answers(method: CGML, x: torch.Tensor, use_rho: bool, seed: int) -> torch.Tensor:
    """Answers (N, K, 3) with the update of equation 4, or the one without rho."""
    bottleneck, path = _inferred(method, x, use_rho, seed)
    answers = [method.generator(bottleneck, latent).flatten(1) for latent in path.latents[-1]]
    return torch.stack(answers, dim=1)


@torch.no_grad()
def _rho_map(method: CGML, dimension: int, seed: int) -> torch.Tensor:
    """E[rho] over (y, x), (CELLS, CELLS): the mean over all latents of all paths that give such an answer, else NaN."""
    x = torch.linspace(-1, 1, CELLS)[:, None, None, None]
    bottleneck, path = _inferred(method, x, True, seed)
    total, count = torch.zeros(CELLS, CELLS), torch.zeros(CELLS, CELLS)
    column = torch.arange(CELLS)
    for latents, rhos in zip(path.latents[:-1], path.rho, strict=True):  # (K, N, D), (K, N)
        for latent, rho in zip(latents, rhos, strict=True):
            answer = method.generator(bottleneck, latent).flatten(1)[:, dimension]  # (N,)
            row = ((answer + 4.6) / 9.2 * CELLS).long()
            inside = (row >= 0) & (row < CELLS)
            total.index_put_((row[inside], column[inside]), rho[inside], accumulate=True)
            count.index_put_((row[inside], column[inside]), torch.ones(int(inside.sum())), accumulate=True)
    return torch.where(count > 0, total / count.clamp_min(1), torch.nan)
