"""Draw the first shapes of the universe.

    python benchmarks/universe_figure.py

The figure is docs/universe.png.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.sources.universe import universe_clouds
from spectral_ssl.ground.files import atomic_path

COLUMNS, ROWS = 8, 6
ELEVATION, AZIMUTH = np.radians(22.0), np.radians(35.0)


def draw(path: Path, clouds: NDArray[np.float32]) -> None:
    """Draw clouds (N, P, 3) as dots, darker where they are nearer."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * COLUMNS, 2 * ROWS), dpi=70)
    figure.subplots_adjust(0, 0, 1, 1, 0, 0)
    for axis, cloud in zip(figure.subplots(ROWS, COLUMNS).flat, clouds, strict=True):
        right = cloud[:, 0] * np.cos(AZIMUTH) - cloud[:, 1] * np.sin(AZIMUTH)
        back = cloud[:, 0] * np.sin(AZIMUTH) + cloud[:, 1] * np.cos(AZIMUTH)
        up = cloud[:, 2] * np.cos(ELEVATION) + back * np.sin(ELEVATION)
        depth = back * np.cos(ELEVATION) - cloud[:, 2] * np.sin(ELEVATION)
        order = np.argsort(-depth)
        axis.scatter(right[order], up[order], s=4, c=depth[order], cmap="viridis", vmin=-0.8, vmax=0.8, linewidths=0)
        axis.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
        axis.axis("off")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "universe.png")
    parser.add_argument("--first", type=int, default=0, help="the first shape")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    indices = range(arguments.first, arguments.first + COLUMNS * ROWS)
    draw(arguments.out, universe_clouds(indices, seed=arguments.seed))


if __name__ == "__main__":
    main()
