"""What all examples share: the number of steps, the built-in data, batches, a task, and the printed losses."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import spectral_ssl
from pretext.data import Example, MapDataset


def read_steps(default: int) -> int:
    """Read the option ``--steps`` of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=default, help=f"optimisation steps [{default}]")
    return parser.parse_args().steps


def open_training_split(name: str, **options: int) -> MapDataset:
    """Open the training split of a built-in data set; the first call prepares the data set."""
    path = Path(os.environ.get("SPECTRAL_SSL_HOME", "workspace")) / "examples" / f"{name}.h5"
    maps = spectral_ssl.open_maps(path) if path.exists() else spectral_ssl.prep(name, out=path, **options)
    return MapDataset(maps, split="train")


def draw_batches(dataset: MapDataset, steps: int, size: int = 64) -> Iterator[tuple[int, Tensor]]:
    """Yield the number of each step and standardised maps (B, C, H, W) for it, in random order."""
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(dataset, batch_size=size, shuffle=True, drop_last=True, generator=generator)
    step = 0
    while True:
        for maps, _ in loader:
            if step == steps:
                return
            yield step, maps
            step += 1


def hide_middle(images: Tensor) -> Example:
    """Hide the square in the middle of images (B, C, H, W); only this square counts in the error."""
    height, width = images.shape[2:]
    weight = torch.zeros_like(images)
    weight[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1.0
    return Example(condition=images * (1 - weight), target=images, weight=weight)


def print_losses(step: int, steps: int, **losses: Tensor) -> None:
    """Print the losses of the first step, of the last one, and of eight steps in between."""
    if step % max(1, steps // 9) == 0 or step == steps - 1:
        values = "  ".join(f"{name} {loss.item():.4f}" for name, loss in losses.items())
        print(f"step {step:4}  {values}")
