"""Draw where equation 4 and the flow of cGML move latents whose true distribution is known.

    python benchmarks/flow_figure.py

Three conditions have latents of a known distribution: two modes with the weights 0.3 and 0.7, a ring,
and three modes. Both kinds of Z are trained on the same pairs of a random first latent and a true
last one, for equally many steps. The script writes docs/cgml-flow.png and prints the sliced
Wasserstein distance of 4000 moved latents to as many true ones. It takes about half a minute of one
core.
"""

import argparse
import math
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from pretext.losses.latent_path import path_losses
from pretext.methods.cgml.flow import VelocityField, flow_loss, integrate_flow
from pretext.methods.cgml.latent_path import draw_latents, infer_latents
from pretext.networks.encoder_decoder import LatentOptimiser

OUT = Path(__file__).parent.parent / "docs" / "cgml-flow.png"
CONDITIONS = ("two modes, weights 0.3 and 0.7", "a ring", "three modes")
SPREAD, SAMPLES, SHOWN, HIDDEN, RATE = 0.06, 4000, 600, 64, 3e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    flow, equation_4 = VelocityField(len(CONDITIONS), 2, HIDDEN), LatentOptimiser(len(CONDITIONS), 2, HIDDEN)
    train(flow, equation_4, arguments.steps)
    figure = Figure(figsize=(8.4, 8.6), layout="constrained")
    axes = figure.subplots(len(CONDITIONS), 3, sharex=True, sharey=True)
    for number, name in enumerate(CONDITIONS):
        columns = move(flow, equation_4, number)
        floor = measure_sliced_wasserstein(columns["truth"], columns.pop("another sample"))
        for axis, (title, latents) in zip(axes[number], columns.items(), strict=True):
            axis.plot(*latents[:SHOWN].T.numpy(), ".", markersize=2.5)
            axis.set_aspect("equal")
            axis.set_xlim(-1, 1)
            axis.set_ylim(-1, 1)
            distance = measure_sliced_wasserstein(latents, columns["truth"])
            axis.set_title(title if title == "truth" else f"{title}: distance {distance:.3f}", fontsize=9)
        axes[number, 0].set_ylabel(name, fontsize=9)
        print(
            f"{name}: two samples of the truth {floor:.3f};",
            *axes[number, 1].get_title().split()[-1:],
            *axes[number, 2].get_title().split()[-1:],
        )
    figure.savefig(arguments.out, dpi=110)
    print(arguments.out)


def draw_last(kind: Tensor, generator: torch.Generator) -> Tensor:
    """Draw true last latents (N, 2) of conditions (N,)."""
    angle = 2 * math.pi * torch.rand(len(kind), generator=generator)
    which = torch.multinomial(torch.ones(3), len(kind), replacement=True, generator=generator)
    corners = 2 * math.pi / 3 * which + math.pi / 2
    is_right = torch.rand(len(kind), generator=generator) < 0.3
    modes = torch.stack([torch.where(is_right, 0.6, -0.6), torch.zeros(len(kind))], dim=1)
    places = torch.stack([modes, 0.7 * to_vectors(angle), 0.6 * to_vectors(corners)])  # (3, N, 2)
    return places[kind, torch.arange(len(kind))] + SPREAD * torch.randn(len(kind), 2, generator=generator)


def to_vectors(angle: Tensor) -> Tensor:
    """Compute points (N, 2) of the unit circle."""
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def to_bottleneck(kind: Tensor) -> Tensor:
    """Make the bottlenecks (N, 3) of conditions (N,)."""
    return torch.nn.functional.one_hot(kind, len(CONDITIONS)).float()


def train(flow: VelocityField, equation_4: LatentOptimiser, steps: int) -> None:
    """Train both kinds of Z on the same pairs."""
    generator = torch.Generator().manual_seed(0)
    optimisers = [torch.optim.Adam(each.parameters(), lr=RATE) for each in (flow, equation_4)]
    for step in range(steps):
        kind = torch.randint(len(CONDITIONS), (256,), generator=generator)
        bottleneck, last = to_bottleneck(kind), draw_last(kind, generator)
        first = draw_latents(len(kind), 2, "ball", generator)
        path = first + torch.linspace(0, 1, 5)[:, None, None] * (last - first)  # (5, N, 2)
        (path_loss,) = path_losses(
            equation_4, bottleneck, path, generator, whole=True, kind="l2", lipschitz=0.0, noise=0.0
        )
        losses = flow_loss(flow, bottleneck, first, last, generator), path_loss
        for loss, optimiser in zip(losses, optimisers, strict=True):
            optimiser.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@torch.no_grad()
def move(flow: VelocityField, equation_4: LatentOptimiser, number: int) -> dict[str, Tensor]:
    """Return true latents (N, 2) of a condition, and those that both kinds of Z move."""
    generator = torch.Generator().manual_seed(1)
    kind = torch.full((SAMPLES,), number)
    bottleneck, first = to_bottleneck(kind), draw_latents(SAMPLES, 2, "ball", generator)[None]
    return {
        "truth": draw_last(kind, generator),
        "another sample": draw_last(kind, generator),
        "equation 4": infer_latents(equation_4, bottleneck, first, steps=20, domain="ball").latents[-1, 0],
        "flow": integrate_flow(flow, bottleneck, first, steps=16, solver="euler", domain="ball").latents[-1, 0],
    }


def measure_sliced_wasserstein(first: Tensor, second: Tensor) -> float:
    """Compute the mean over 64 directions of the 1-Wasserstein distance of two samples (N, 2)."""
    directions = to_vectors(math.pi * torch.arange(64) / 64).T  # (2, 64)
    (first, _), (second, _) = (first @ directions).sort(dim=0), (second @ directions).sort(dim=0)
    return (first - second).abs().mean().item()


if __name__ == "__main__":
    main()
