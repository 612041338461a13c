"""The linear layer that tuning starts from, by logistic regression."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    StratifiedKFold,
    StratifiedShuffleSplit,
)
from sklearn.preprocessing import StandardScaler

from sklearn_byol.training._fine_tuning import LinearHead
from sklearn_byol.training._labelled_images import LabelledImages

C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
N_FOLDS = 5
MANY = 1000  # labels from which one held-out fifth says enough about C
N_ITERATIONS = 300

Rows = NDArray[np.float32]


def fit_head(
    rows: Rows, images: LabelledImages, n_classes: int, seed: int
) -> LinearHead:
    """Fit a linear layer by logistic regression on representations.

    Columns are divided by the root of their deviation: half way between all alike,
    which leaves what the encoder makes much of, and all of one deviation.
    The regularisation is chosen by cross-validation among classes of two images or
    more, where there are two such classes. Rows are (n_images, n_dims); the seed is for
    the splits. Classes without an image begin as the least likely one of the others.
    """
    present, codes = np.unique(images.codes, return_inverse=True)
    scaler = StandardScaler().fit(rows, sample_weight=images.counts)
    weight = np.zeros((n_classes, rows.shape[1]))
    bias = np.zeros(n_classes)
    scale = np.sqrt(scaler.scale_ * (np.sqrt(scaler.var_.mean()) or 1.0))
    if len(present) > 1:
        rows = ((rows - scaler.mean_) / scale).astype(np.float32)
        fitted = _fit_layer(rows, codes, images.weights, seed)
        weight[present], bias[:] = fitted[0], fitted[1].min()
        bias[present] = fitted[1]
    return LinearHead(weight, bias, scaler.mean_, scale)


def _fit_layer(
    rows: Rows, codes: NDArray[np.intp], weights: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights and biases on rows, by classes that all occur."""
    # Fewer rows than columns span a smaller space, in which the regression is the same.
    turn = PCA().fit(rows) if len(rows) < rows.shape[1] else None
    rows = rows if turn is None else turn.transform(rows)
    # Weights are passed on in here, whatever the program routes.
    unrouted = config_context(enable_metadata_routing=False)
    with unrouted, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # A class of two images is in two of five folds.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        model = LogisticRegression(
            C=_choose_regularisation(rows, codes, weights, seed),
            max_iter=N_ITERATIONS,
        ).fit(rows, codes, sample_weight=weights)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # of two classes
        weight, bias = np.vstack([-weight, weight]) / 2, np.r_[-bias, bias] / 2
    if turn is None:
        return weight, bias
    return weight @ turn.components_, bias - weight @ turn.components_ @ turn.mean_


def _choose_regularisation(
    rows: Rows, codes: NDArray[np.intp], weights: NDArray[np.float64], seed: int
) -> float:
    """Choose the inverse of the regularisation by cross-validation; else take 1."""
    counts = np.bincount(codes)
    is_often = counts[codes] > 1
    rows, codes, weights = rows[is_often], codes[is_often], weights[is_often]
    present, n_a_class = np.unique(codes, return_counts=True)
    if len(present) < 2:
        return 1.0
    n_folds = min(N_FOLDS, int(np.median(n_a_class)))
    folds: BaseCrossValidator = (
        StratifiedShuffleSplit(1, test_size=1 / N_FOLDS, random_state=seed)
        if len(codes) > max(MANY, N_FOLDS * len(present))
        else StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    )
    model = LogisticRegression(max_iter=N_ITERATIONS)
    search = GridSearchCV(model, {"C": C_GRID}, cv=folds, refit=False)
    search.fit(rows, codes, sample_weight=weights)
    return float(search.best_params_["C"])
