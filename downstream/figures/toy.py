"""Draw the toy as in figure 3 of the cGML paper."""

from pathlib import Path

import numpy as np
import torch

from downstream.figures.canvas import make_figure, save_figure
from pretext.method import LatentModel, Method
from pretext.methods.cgml.latent_path import InferredPath, infer_latents
from pretext.tasks.toys.curve import compute_curve

CONDITIONS, PREDICTIONS, CELLS = 201, 20, 120
LIMIT = 4.6  # Largest |y| of the axes.


def draw_toy(path: Path, method: LatentModel, regression: Method | None = None, seed: int = 0) -> None:
    """Draw each dimension of y over x, for the truth and for several kinds of predictions.

    The columns are the truth, predictions of a network trained on L1 alone, predictions without
    rho, E[rho], and predictions with rho. A flow has no rho: the third column then shows predictions
    at random latents, the fourth the mean length of the steps.

    Parameters
    ----------
    path : Path
        PNG file to write.
    method : LatentModel
        Model trained on the task ``toy``.
    regression : Method, optional
        The same network trained on L1 alone. Without it, its column stays empty.
    seed : int
        Seed of the latents.
    """
    x = torch.linspace(-1, 1, CONDITIONS)[:, None, None, None]  # (N, 1, 1, 1)
    truth = compute_curve(x).flatten(1)  # (N, 3)
    is_flow = method.config.path.dynamics == "flow"
    before, lengths, after = (
        ("random z", "length of the steps", "flow") if is_flow else ("without rho", "E[rho]", "with rho")
    )
    columns = {
        "truth": torch.stack([truth, -truth], dim=1),  # (N, J, 3)
        "L1 alone": regression.complete(x, 1, torch.Generator().manual_seed(seed)).flatten(2) if regression else None,
        before: _predict(method, x, False, seed),
        lengths: None,
        after: _predict(method, x, True, seed),
    }
    figure = make_figure((13, 6.6))
    axes = np.asarray(figure.subplots(3, len(columns), sharex=True, sharey=True))
    for dimension in range(3):
        for column, (name, predictions) in enumerate(columns.items()):
            axis = axes[dimension, column]
            if dimension == 0:
                axis.set_title(name, fontsize=10)
            axis.set_ylim(-LIMIT, LIMIT)
            axis.tick_params(labelsize=7)
            if name == lengths:
                image = axis.imshow(
                    _compute_rho_map(method, dimension, seed).numpy(),
                    extent=(-1, 1, -LIMIT, LIMIT),
                    origin="lower",
                    aspect="auto",
                    cmap="viridis",
                )
                figure.colorbar(image, ax=axis)
            elif predictions is not None:
                number = predictions.shape[1]
                axis.plot(
                    x.flatten().repeat_interleave(number).numpy(),
                    predictions[:, :, dimension].flatten().numpy(),
                    ".",
                    markersize=1.5,
                )
            else:
                axis.text(0, 0, "no such run was given", ha="center", va="center", fontsize=8)
        axes[dimension, 0].set_ylabel(f"y{dimension + 1}")
    for axis in axes[-1]:
        axis.set_xlabel("x")
    save_figure(figure, path)


def _infer(method: LatentModel, x: torch.Tensor, use_rho: bool, seed: int) -> tuple[torch.Tensor, InferredPath]:
    """Compute the bottleneck and the latent paths of 20 predictions for each x (N, 1, 1, 1).

    Without rho a flow does not move its latents.
    """
    path_config = method.config.path
    bottleneck = method.encoder(x)
    usual: InferredPath = method.infer_path(bottleneck, PREDICTIONS, torch.Generator().manual_seed(seed))
    first = usual.latents[0]
    if path_config.dynamics == "flow":
        return bottleneck, usual if use_rho else usual._replace(latents=first[None])
    path = infer_latents(
        method.latent_optimiser,
        bottleneck,
        first,
        steps=path_config.steps_at_inference,
        domain=path_config.domain,
        use_rho=use_rho,
        settle=path_config.settle,
    )
    return bottleneck, path


@torch.no_grad()
def _predict(method: LatentModel, x: torch.Tensor, use_rho: bool, seed: int) -> torch.Tensor:
    """Compute predictions (N, K, 3) with the update of equation 4 or the flow, or without rho (``_infer``)."""
    bottleneck, path = _infer(method, x, use_rho, seed)
    predictions = [method.generator(bottleneck, latent).flatten(1) for latent in path.latents[-1]]
    return torch.stack(predictions, dim=1)


@torch.no_grad()
def _compute_rho_map(method: LatentModel, dimension: int, seed: int) -> torch.Tensor:
    """Compute E[rho] over (y, x), (CELLS, CELLS).

    Each cell is the mean over the latents of all paths whose prediction lies in it; NaN without
    any.
    """
    x = torch.linspace(-1, 1, CELLS)[:, None, None, None]
    bottleneck, path = _infer(method, x, True, seed)
    total, count = torch.zeros(CELLS, CELLS), torch.zeros(CELLS, CELLS)
    column = torch.arange(CELLS)
    for latents, rhos in zip(path.latents[:-1], path.rho, strict=True):  # (K, N, D), (K, N)
        for latent, rho in zip(latents, rhos, strict=True):
            prediction = method.generator(bottleneck, latent).flatten(1)[:, dimension]  # (N,)
            row = ((prediction + LIMIT) / (2 * LIMIT) * CELLS).long()
            inside = (row >= 0) & (row < CELLS)
            total.index_put_((row[inside], column[inside]), rho[inside], accumulate=True)
            count.index_put_((row[inside], column[inside]), torch.ones(int(inside.sum())), accumulate=True)
    return torch.where(count > 0, total / count.clamp_min(1), torch.nan)
