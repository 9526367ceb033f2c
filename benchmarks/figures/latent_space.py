"""Draw a latent space: the classes of the codes, and the codes whose samples miss their class.

Durall et al. (VISAPP 2021, figures 1, 5 and 6) find that samples from codes at the borders between
classes fail most. The paper calls this the border effect. Both panels show the same t-SNE map of
the codes (van der Maaten and Hinton, 2008). It preserves neighbours, but not distances.
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
    """Compute the mean accuracy of codes inside their class minus that of codes at its border.

    Parameters
    ----------
    codes : ndarray, shape (N, D), floating
        The codes, one in each row.
    labels : ndarray, shape (N,), int64
        Class of each code.
    right : ndarray, shape (N,), floating
        Share of the samples from each code that show its class.
    neighbours : int
        Number of nearest codes (L1) to compare. A code is inside its class if all of them have its
        class. Otherwise it is at the border.

    Returns
    -------
    float
        Positive if samples at borders fail more often. NaN if all codes are inside or all are at a
        border.
    """
    from pretext.neighbours.exact import find_exact_neighbours

    nearest = find_exact_neighbours(codes, neighbours).nearest
    is_inside = (labels[nearest] == labels[:, None]).all(axis=1)
    if is_inside.all() or not is_inside.any():
        return float("nan")
    return float(right[is_inside].mean() - right[~is_inside].mean())


def draw_latent_space(
    path: Path,
    codes: NDArray[Any],
    labels: NDArray[np.int64],
    right: NDArray[Any],
    classes: tuple[str, ...],
    seed: int = 0,
) -> None:
    """Draw codes by t-SNE, coloured by class and by the share of their samples that show it.

    Parameters
    ----------
    path : Path
        PNG file to write.
    codes : ndarray, shape (N, D), floating
        The codes, one in each row. The function standardises them.
    labels : ndarray, shape (N,), int64
        Class of each code.
    right : ndarray, shape (N,), floating
        Share of the samples from each code that show its class, from 0 to 1.
    classes : tuple of str
        Names of the classes.
    seed : int
        Seed of the t-SNE.

    Raises
    ------
    UserError
        If there are fewer than 10 codes.
    """
    if len(codes) < FEWEST:
        raise UserError("too few codes to draw", len(codes), f"give at least {FEWEST}")
    from matplotlib.figure import Figure  # Unlike pyplot, this has no global state and opens no window.
    from sklearn.manifold import TSNE

    values = np.asarray(codes, np.float64)
    deviation = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    positions = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    figure = Figure(figsize=(11, 5), layout="constrained")
    by_class, by_success = figure.subplots(1, 2)
    drawn = by_class.scatter(*positions.T, c=labels, cmap="tab10" if len(classes) <= 10 else "tab20", s=8)
    if len(classes) <= 20:
        handles, numbers = drawn.legend_elements(num=None)
        names = [printable(classes[int(label)]) for label in np.unique(labels)]
        if len(numbers) == len(names):
            for text in by_class.legend(handles, names, fontsize=7).get_texts():
                text.set_parse_math(False)
    by_class.set_title("class of the code's sample", fontsize=9)
    shown = by_success.scatter(*positions.T, c=right, cmap="RdYlGn", vmin=0, vmax=1, s=8)
    figure.colorbar(shown, ax=by_success)
    by_success.set_title("share of generated samples of that class", fontsize=9)
    for axis in (by_class, by_success):
        axis.set_xticks([])
        axis.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
