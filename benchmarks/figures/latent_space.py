"""Draw latent spaces: the classes of the codes, and the codes whose samples miss their class.

Durall et al. (VISAPP 2021, figures 1, 5 and 6) find that samples from codes at the borders between
classes fail most. The paper calls this the border effect. Both panels of a row show the same t-SNE map of
the codes (van der Maaten and Hinton, 2008). It preserves neighbours, but not distances.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.terminal import printable

FEWEST = 10
PERPLEXITY = 30.0


class LatentSpace(NamedTuple):
    """Codes, and what became of their samples.

    Attributes
    ----------
    codes : ndarray, shape (N, D), floating
        The codes, one in each row.
    labels : ndarray, shape (N,), int64
        Class of each code.
    right : ndarray, shape (N,), floating
        Share of the samples from each code that show its class, from 0 to 1.
    """

    codes: NDArray[Any]
    labels: NDArray[np.int64]
    right: NDArray[Any]


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


def draw_latent_spaces(path: Path, spaces: dict[str, LatentSpace], classes: tuple[str, ...], seed: int = 0) -> None:
    """Draw the codes of each space by t-SNE, coloured by class and by the share of their samples that show it.

    Parameters
    ----------
    path : Path
        PNG file to write.
    spaces : dict of str to LatentSpace
        The spaces, by the title of their row. The function standardises the codes.
    classes : tuple of str
        Names of the classes.
    seed : int
        Seed of the t-SNE.

    Raises
    ------
    UserError
        If a space has fewer than 10 codes.
    """
    fewest = min(len(space.codes) for space in spaces.values())
    if fewest < FEWEST:
        raise UserError("too few codes to draw", fewest, f"give at least {FEWEST}")
    from matplotlib.figure import Figure  # Unlike pyplot, this has no global state and opens no window.

    figure = Figure(figsize=(11, 5 * len(spaces)), layout="constrained")
    panels = figure.subplots(len(spaces), 2, squeeze=False)
    for (title, space), (by_class, by_success) in zip(spaces.items(), panels, strict=True):
        positions = place_codes(space.codes, seed)
        drawn = by_class.scatter(*positions.T, c=space.labels, cmap="tab10" if len(classes) <= 10 else "tab20", s=8)
        if len(classes) <= 20:
            handles, numbers = drawn.legend_elements(num=None)
            names = [printable(classes[int(label)]) for label in np.unique(space.labels)]
            if len(numbers) == len(names):
                for text in by_class.legend(handles, names, fontsize=7).get_texts():
                    text.set_parse_math(False)
        shown = by_success.scatter(*positions.T, c=space.right, cmap="RdYlGn", vmin=0, vmax=1, s=8)
        figure.colorbar(shown, ax=by_success)
        before = f"{printable(title)}: " if title else ""
        by_class.set_title(f"{before}class of the code's sample", fontsize=9, parse_math=False)
        by_success.set_title(f"{before}share of generated samples of that class", fontsize=9, parse_math=False)
        for axis in (by_class, by_success):
            axis.set_xticks([])
            axis.set_yticks([])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def place_codes(codes: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Project codes (N, D) to the plane by t-SNE of their standardised values, (N, 2)."""
    from sklearn.manifold import TSNE

    values = np.asarray(codes, np.float64)
    deviation = values.std(axis=0)
    values = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    positions: NDArray[np.float32] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return positions
