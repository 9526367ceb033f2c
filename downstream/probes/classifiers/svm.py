"""Fit a linear support vector machine, the usual classifier for unsupervised features on ModelNet.

It is the protocol of J. Wu et al., *Learning a Probabilistic Latent Space of Object Shapes via 3D
Generative-Adversarial Modeling*, NIPS 2016 (section 4.2). P. Achlioptas et al., *Learning
Representations and Generative Models for 3D Point Clouds*, ICML 2018, and Y. Yang et al.,
*FoldingNet*, CVPR 2018, use it too. The solver is LIBLINEAR (R.-E. Fan et al., JMLR 2008): one
class against the rest, squared hinge loss.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import fit_scaler
from downstream.probes.cross_validation import FittedProbe, Predictor, choose_and_fit, make_linear_predictor

# From strong to weak regularisation, for standardised features.
SVM_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_ITERATIONS = 1000


def fit_svm(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> FittedProbe:
    """Choose C on the training split and fit on all of it.

    For each class it minimises (|w|^2 + b^2) / 2 + C sum over samples of max(0, 1 - y (w x + b))^2,
    with y = 1 for the class and y = -1 for the rest. The class with the largest w x + b is
    predicted.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features of the training split.
    labels : ndarray, shape (N,), int64
        Labels of the training split.
    seed : int
        Seed of the folds.

    Returns
    -------
    FittedProbe
        Probe whose strength is C.

    Raises
    ------
    UserError
        If there are fewer than two classes, a class has fewer than two samples, or a feature is not
        finite.
    """
    return choose_and_fit(_fit_regularisation_path, SVM_STRENGTHS, features, labels, seed)


def _fit_regularisation_path(
    features: NDArray[np.float32], labels: NDArray[np.int64], strengths: tuple[float, ...]
) -> Iterator[Predictor]:
    """Yield predictors from strong to weak regularisation."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    scaler = fit_scaler(features)
    standard = scaler.transform(features)
    for strength in strengths:
        model = LinearSVC(C=strength, dual="auto", max_iter=MOST_ITERATIONS, random_state=0)
        with warnings.catch_warnings():
            # With many features and weak regularisation all samples are separated long before the
            # last step.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(standard, labels)
        yield make_linear_predictor(scaler, model.coef_, model.intercept_, model.classes_)
