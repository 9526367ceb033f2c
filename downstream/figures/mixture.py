"""Points in the plane beside the eight modes they should find (MR-GAN, figure 5)."""

from pathlib import Path

from torch import Tensor

from pretext.tasks.toys.mixture import mixture_centres
from spectral_ssl.ground.files import atomic_path

LARGEST, COLUMNS, POINTS = 1.7, 5, 2000


def draw_points(path: Path, panels: dict[str, Tensor], spread: float) -> None:
    """Draw a panel for each name.

    Parameters
    ----------
    path : Path
        PNG to write.
    panels : dict of str to Tensor, shape (N, 2)
        Points; the first 2000 are drawn. What lies farther out than 1.7 is not seen.
    spread : float
        Standard deviation of the modes: circles of three times that are drawn around their centres.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window
    from matplotlib.patches import Circle

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, points) in zip(axes.flat, panels.items(), strict=False):
        axis.set_title(name, fontsize=8)
        for x, y in mixture_centres().tolist():
            axis.add_patch(Circle((x, y), 3 * spread, fill=False, linewidth=0.6, color="grey"))
        shown = points[:POINTS]
        axis.plot(shown[:, 0].numpy(), shown[:, 1].numpy(), ".", markersize=1.2)
        axis.set_xlim(-LARGEST, LARGEST)
        axis.set_ylim(-LARGEST, LARGEST)
        axis.set_aspect("equal")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
