"""The figure of training curves has a panel for each score and each loss."""

from pathlib import Path

import numpy as np
from figures.training_curves import LOSSES, SCORES, draw_training_curves
from PIL import Image


def test_scores_and_losses_are_drawn_for_each_cell(tmp_path: Path) -> None:
    rows = [
        {"cell": cell, "minutes": minutes, "seconds": 60.0 * minutes, **dict.fromkeys(SCORES, value)}
        for cell, value in (("couples", 0.5), ("standard approach", 0.9))
        for minutes in (1, 2)
    ]
    losses = {
        cell: [{"seconds": 30.0 * step, "loss": level, "discriminator": level} for step in range(1, 5)]
        for cell, level in (("couples", 1.0), ("standard approach", 2.0))
    }
    path = tmp_path / "curves.png"
    draw_training_curves(path, rows, losses)
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    red, blue = image[..., 0], image[..., 2]
    panels = len(SCORES) + len(LOSSES)
    for number in range(panels):  # tab10's first colour, blue, and its second, orange, in each panel
        part = slice(number * image.shape[1] // panels, (number + 1) * image.shape[1] // panels)
        assert ((blue - red) > 80)[:, part].any(), number
        assert ((red - blue) > 80)[:, part].any(), number
