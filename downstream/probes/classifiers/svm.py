"""The linear support vector machine, with which the field scores unsupervised features on ModelNet.

J. Wu et al., *Learning a Probabilistic Latent Space of Object Shapes via 3D Generative-Adversarial Modeling*, NIPS 2016
(section 4.2), and those who followed (P. Achlioptas et al., *Learning Representations and Generative Models for 3D
Point Clouds*, ICML 2018; Y. Yang et al., *FoldingNet*, CVPR 2018). The solver is LIBLINEAR (R.-E. Fan et al., JMLR
2008): one class against the rest, squared hinge loss.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from downstream.probes.cross_validation import FittedProbe, Predictor, choose_and_fit, make_linear_predictor

# From strong to weak regularisation, of standardised features.
SVM_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_ITERATIONS = 1000


def fit_svm(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> FittedProbe:
    """Choose C on the training split and fit on all of it.

    Minimises, for each class, (|w|^2 + b^2) / 2 + C sum over samples of max(0, 1 - y (w x + b))^2 with y = 1 for the
    class and -1 for the rest; the largest w x + b wins.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Of the training split.
    labels : ndarray, shape (N,), int64
        Of the training split.
    seed : int
        Draws the folds.

    Returns
    -------
    FittedProbe
        Its strength is C.

    Raises
    ------
    UserError
        When there are fewer than two classes, a class has fewer than two samples, or features are not finite.
    """
    return choose_and_fit(_fit_regularisation_path, SVM_STRENGTHS, features, labels, seed)


def _fit_regularisation_path(
    features: NDArray[np.float32], labels: NDArray[np.int64], strengths: tuple[float, ...]
) -> Iterator[Predictor]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    scaler = StandardScaler().fit(features)
    standard = scaler.transform(features)
    for strength in strengths:
        model = LinearSVC(C=strength, dual="auto", max_iter=MOST_ITERATIONS, random_state=0)
        with warnings.catch_warnings():
            # where features are many and regularisation weak, all samples are separated long before the last step
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(standard, labels)
        yield make_linear_predictor(scaler, model.coef_, model.intercept_, model.classes_)
