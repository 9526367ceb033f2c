"""Draw points in the plane with the eight modes of the mixture (MR-GAN, figure 5)."""

from pathlib import Path

from torch import Tensor

from downstream.figures.canvas import make_axes, save_figure
from pretext.tasks.toys.mixture import compute_mixture_centres

LARGEST, COLUMNS, POINTS = 1.7, 5, 2000


def draw_points(path: Path, panels: dict[str, Tensor], spread: float) -> None:
    """Draw a panel of points for each name.

    Parameters
    ----------
    path : Path
        PNG file to write.
    panels : dict of str to Tensor, shape (N, 2)
        Points by the titles of their panels. The first 2000 are drawn. Points with a coordinate
        larger than 1.7 are outside the panel.
    spread : float
        Standard deviation of the modes. Circles of three times this radius show the modes.
    """
    from matplotlib.patches import Circle

    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = make_axes(rows, columns, size=(2.2 * columns, 2.4 * rows))
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, points) in zip(axes.flat, panels.items(), strict=False):
        axis.set_title(name, fontsize=8)
        for centre in compute_mixture_centres().tolist():
            axis.add_patch(Circle(centre, 3 * spread, fill=False, linewidth=0.6, color="grey"))
        x, y = points[:POINTS].unbind(dim=1)
        axis.plot(x.numpy(), y.numpy(), ".", markersize=1.2)
        axis.set_xlim(-LARGEST, LARGEST)
        axis.set_ylim(-LARGEST, LARGEST)
        axis.set_aspect("equal")
    save_figure(figure, path)
