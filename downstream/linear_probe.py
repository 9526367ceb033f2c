"""The linear probe: logistic regression on frozen features, chosen without a look at the test split.

The protocol is that of ``downstream.cross_validation``. ``fit_probe`` has no argument that could carry test data.

The loss is strictly convex, so whoever minimises it finds the same answer; what differs is the time. Here L-BFGS works
in the principal axes of the features, each divided by the curvature that the loss has along it at W = 0 (Böhning,
"Multinomial logistic regression algorithm", 1992: the Hessian there is (1 - 1/K) / K X'X for K classes of equal size).
That takes tens of steps where plain L-BFGS takes hundreds, and one decomposition serves all C.
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
    """Predictors from strong to weak regularisation, each fit started where the one before ended."""
    from scipy.optimize import minimize
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    standard = torch.from_numpy(scaler.transform(features).astype(np.float32, copy=False))
    classes, places = np.unique(labels, return_inverse=True)
    wanted = torch.from_numpy(places.astype(np.int64))
    axes, spread = principal_axes(standard)
    scores = standard @ axes  # (N, R)
    shape = (len(classes), scores.shape[1])
    weights, offsets = torch.zeros(shape), torch.zeros(shape[0])  # along the axes
    curvature = (1 - 1 / shape[0]) / shape[0]
    for given_strength in strengths:
        # |w|^2 / 2 of the difference of two rows is |W|^2, for the best two rows are w / 2 and -w / 2
        strength = given_strength / 2 if shape[0] == 2 else given_strength
        # the curvature along each axis, and of the offsets, in these units is about 1
        scale = (1 + strength * curvature * spread).rsqrt()
        offset_scale = (strength * curvature * len(scores)) ** -0.5

        def loss(
            flat: NDArray[np.float64],
            strength: float = strength,
            scale: Tensor = scale,
            offset_scale: float = offset_scale,
        ) -> tuple[float, NDArray[np.float64]]:
            given = torch.from_numpy(flat.astype(np.float32)).view(shape[0], -1)
            along, offset = given[:, 1:] * scale, given[:, 0] * offset_scale
            answers = torch.addmm(offset, scores, along.T)  # (N, K)
            entropy = functional.cross_entropy(answers, wanted, reduction="none").sum(dtype=torch.float64)
            slope = answers.softmax(dim=1)
            slope[torch.arange(len(wanted)), wanted] -= 1
            of_along = strength * (slope.T @ scores) + along  # (K, R)
            gradient = torch.cat([strength * offset_scale * slope.sum(dim=0)[:, None], of_along * scale], dim=1)
            value = strength * entropy.item() + along.double().square().sum().item() / 2
            return value, gradient.double().flatten().numpy()

        start = torch.cat([offsets[:, None] / offset_scale, weights / scale], dim=1).double().flatten().numpy()
        options = {"maxiter": MOST_ITERATIONS, "ftol": SMALLEST_GAIN, "gtol": 0.0}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
        solution = torch.from_numpy(found.x.astype(np.float32)).view(shape[0], -1)
        weights, offsets = solution[:, 1:] * scale, solution[:, 0] * offset_scale
        yield softmax_predictor(scaler, (weights @ axes.T).numpy(), offsets.numpy(), classes)


def principal_axes(standard: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal axes (D, R) that span the rows of features (N, D), and the sum of squares (R) along each."""
    count, width = standard.shape
    if width <= count:
        spread, axes = torch.linalg.eigh(standard.T @ standard)
        return axes, spread.clamp(min=0)
    axes = torch.linalg.svd(standard, full_matrices=False).Vh.T  # no weight leaves the span of the samples
    return axes.contiguous(), (standard @ axes).square().sum(dim=0)


def softmax_predictor(
    scaler: object, coefficients: NDArray[np.float32], offsets: NDArray[np.float32], classes: NDArray[np.int64]
) -> Predictor:
    """The predictor of the largest ``W x + b``; ``linear_predictor`` takes the difference of two classes as one row."""
    if len(classes) == 2:
        coefficients, offsets = coefficients[1:] - coefficients[:1], offsets[1:] - offsets[:1]
    return linear_predictor(scaler, coefficients, offsets, classes)


def accuracy(probe: FittedProbe, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of the test split classified rightly; features (N, D), labels (N,)."""
    return float((probe.predict(features) == labels).mean())
