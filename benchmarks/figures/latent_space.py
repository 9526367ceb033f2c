"""The picture of a space of codes: where classes lie, and where samples made from the codes miss their class.

Durall et al. (VISAPP 2021, figures 1, 5 and 6): samples from codes at the borders between classes
fail most (the paper's border effect). Both panels have the same t-SNE map of the codes (van der
Maaten and Hinton, 2008), which keeps neighbours and no distances.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.terminal import printable

FEWEST = 10
PERPLEXITY = 30.0


def border_effect(codes: NDArray[Any], labels: NDArray[np.int64], right: NDArray[Any], neighbours: int = 10) -> float:
    """Difference of the mean accuracy of codes amid their class and of codes at its border.

    Parameters
    ----------
    codes : ndarray, shape (N, D), floating
    labels : ndarray, shape (N,), int64
    right : ndarray, shape (N,), floating
        Share of the samples made from each code that show its class.
    neighbours : int
        A code is amid its class when all of so many nearest codes (L1) are of it, else at its
        border.

    Returns
    -------
    float
        Positive where borders fail more; NaN where all codes are of one kind.
    """
    from pretext.neighbours.exact import find_exact_neighbours

    nearest = find_exact_neighbours(codes, neighbours).nearest
    amid = (labels[nearest] == labels[:, None]).all(axis=1)
    if amid.all() or not amid.any():
        return float("nan")
    return float(right[amid].mean() - right[~amid].mean())


def draw_latent_space(
    path: Path,
    codes: NDArray[Any],
    labels: NDArray[np.int64],
    right: NDArray[Any],
    classes: tuple[str, ...],
    seed: int = 0,
) -> None:
    """Draw codes by t-SNE, coloured by class and by how many of their samples show it.

    Parameters
    ----------
    path : Path
        PNG to write.
    codes : ndarray, shape (N, D), floating
        Standardised here.
    labels : ndarray, shape (N,), int64
    right : ndarray, shape (N,), floating
        From 0 to 1.
    classes : tuple of str
        Names.
    seed : int

    Raises
    ------
    UserError
        When there are too few codes.
    """
    if len(codes) < FEWEST:
        raise UserError("too few codes to draw", len(codes), f"give at least {FEWEST}")
    from matplotlib.figure import Figure  # not pyplot: no global state, no window
    from sklearn.manifold import TSNE

    values = np.asarray(codes, np.float64)
    deviation = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    figure = Figure(figsize=(11, 5), layout="constrained")
    by_class, by_success = figure.subplots(1, 2)
    drawn = by_class.scatter(*places.T, c=labels, cmap="tab10" if len(classes) <= 10 else "tab20", s=8)
    if len(classes) <= 20:
        handles, numbers = drawn.legend_elements(num=None)
        names = [printable(classes[int(label)]) for label in np.unique(labels)]
        if len(numbers) == len(names):
            for text in by_class.legend(handles, names, fontsize=7).get_texts():
                text.set_parse_math(False)
    by_class.set_title("class of the code's sample", fontsize=9)
    shown = by_success.scatter(*places.T, c=right, cmap="RdYlGn", vmin=0, vmax=1, s=8)
    figure.colorbar(shown, ax=by_success)
    by_success.set_title("share of generated samples of that class", fontsize=9)
    for axis in (by_class, by_success):
        axis.set_xticks([])
        axis.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
