"""The linear probe: logistic regression on frozen features, chosen without a look at the test split.

The protocol is that of ``downstream.cross_validation``. ``fit_probe`` has no argument that could carry test data.

The loss is strictly convex, so whoever minimises it finds the same answer; what differs is the time. Here L-BFGS works
in coordinates V = W L, with L L' = 1 + C a X'X the curvature of the loss at W = 0: there the Hessian is a X'X for each
class, a = (1 - 1/K) / K, if K classes are of equal size (Böhning, "Multinomial logistic regression algorithm", 1992).
That takes tens of steps where plain L-BFGS takes hundreds. Wide features (D > N) are first brought into the span of the
samples, which no weight leaves.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from downstream.cross_validation import FittedProbe, Predictor, choose_and_fit, linear_predictor

# From strong to weak regularisation; features are standardised, so the range serves a hundred and ten thousand of them.
STRENGTHS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0, 10.0, 100.0)
MOST_ITERATIONS = 300
SMALLEST_GAIN = 1e-7  # a step that lowers the loss by a smaller share is the last
ROUNDING = 1e-6  # of the trace, added to the matrix of products


def fit_probe(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> FittedProbe:
    """Choose C on the training split and fit on all of it.

    Minimises |W|^2 / 2 + C sum over samples of cross entropy(softmax(W x + b), label); with two classes |w|^2 / 2 for w
    the difference of the two rows of W, as scikit-learn does.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Of the training split.
    labels : ndarray, shape (N,), int64
        Of the training split.
    seed : int
        Draws the folds, and the samples they are made of where there are many.

    Returns
    -------
    FittedProbe
        Its strength is C.

    Raises
    ------
    UserError
        When there are fewer than two classes, a class has fewer than two samples, or features are not finite.
    """
    return choose_and_fit(regularisation_path, STRENGTHS, features, labels, seed)


def regularisation_path(
    features: NDArray[np.float32], labels: NDArray[np.int64], strengths: tuple[float, ...]
) -> Iterator[Predictor]:
    """Predictors from strong to weak regularisation."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    classes, places = np.unique(labels, return_inverse=True)
    standard = torch.from_numpy(scaler.transform(features).astype(np.float32, copy=False))
    for weights, offsets in softmax_fits(standard, torch.from_numpy(places.astype(np.int64)), strengths):
        if len(classes) == 2:  # one row, the difference, as ``linear_predictor`` takes it
            weights, offsets = weights[1:] - weights[:1], offsets[1:] - offsets[:1]
        yield linear_predictor(scaler, weights.numpy(), offsets.numpy(), classes)


def softmax_fits(standard: Tensor, wanted: Tensor, strengths: tuple[float, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """Minimisers W (K, D) and b (K) for each strength, each fit started where the one before ended.

    Parameters
    ----------
    standard : Tensor, shape (N, D), float32
        Standardised features.
    wanted : Tensor, shape (N,), int64
        Classes from 0 to K - 1, each at least once.
    strengths : tuple of float
        Of C, see ``fit_probe``.
    """
    from scipy.optimize import minimize

    axes: Tensor | None = None
    scores = standard
    if standard.shape[1] > len(standard):
        axes, triangle = torch.linalg.qr(standard.T)  # (D, N), (N, N)
        scores = triangle.T.contiguous()
    count, classes, width = len(scores), int(wanted.max()) + 1, scores.shape[1]
    gram = (scores.T @ scores).double()
    # float32 sums: without a little more on the diagonal the matrix need not be positive definite
    diagonal = torch.eye(width, dtype=torch.float64)
    gram += ROUNDING * gram.trace() * diagonal
    weights, offsets = torch.zeros(classes, width), torch.zeros(classes)
    curvature = (1 - 1 / classes) / classes
    for given_strength in strengths:
        # |w|^2 / 2 of the difference of two rows is |W|^2, for the best two rows are w / 2 and -w / 2
        strength = given_strength / 2 if classes == 2 else given_strength
        factor = torch.linalg.cholesky(diagonal + strength * curvature * gram).float()
        offset_scale = (strength * curvature * count) ** -0.5

        def unpack(
            flat: NDArray[np.float64], factor: Tensor = factor, offset_scale: float = offset_scale
        ) -> tuple[Tensor, Tensor]:
            given = torch.from_numpy(flat.astype(np.float32)).view(classes, -1)
            solved = torch.linalg.solve_triangular(factor, given[:, 1:], upper=False, left=False)
            return solved, given[:, 0] * offset_scale

        def loss(
            flat: NDArray[np.float64],
            strength: float = strength,
            factor: Tensor = factor,
            offset_scale: float = offset_scale,
        ) -> tuple[float, NDArray[np.float64]]:
            weights, offsets = unpack(flat, factor, offset_scale)
            answers = torch.addmm(offsets, scores, weights.T)  # (N, K)
            entropy = functional.cross_entropy(answers, wanted, reduction="none").sum(dtype=torch.float64)
            slope = answers.softmax(dim=1)
            slope[torch.arange(count), wanted] -= 1
            of_weights = strength * (slope.T @ scores) + weights  # (K, R)
            inner = torch.linalg.solve_triangular(factor.T, of_weights, upper=True, left=False)
            gradient = torch.cat([strength * offset_scale * slope.sum(dim=0)[:, None], inner], dim=1)
            value = strength * entropy.item() + weights.double().square().sum().item() / 2
            return value, gradient.double().flatten().numpy()

        start = torch.cat([offsets[:, None] / offset_scale, weights @ factor], dim=1).double().flatten().numpy()
        options = {"maxiter": MOST_ITERATIONS, "ftol": SMALLEST_GAIN, "gtol": 0.0}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        weights, offsets = unpack(found.x)
        yield (weights if axes is None else weights @ axes.T), offsets


def accuracy(probe: FittedProbe, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of the test split classified rightly; features (N, D), labels (N,)."""
    return float((probe.predict(features) == labels).mean())
