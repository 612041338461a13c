"""How much representations say about labels."""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_byol import metrics

C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
N_NEIGHBORS = 200  # lightly's benchmarks
MANY = 1000  # labels from which one held-out fifth says enough about C


def draw_labels(y, n_a_class, n_draws):
    """Draw indices of as many images of each class, as often as asked for."""
    classes = [np.flatnonzero(y == label) for label in np.unique(y)]
    return [
        np.concatenate(
            [
                np.random.default_rng([draw, len(y)]).choice(one, n_a_class, False)
                for one in classes
            ]
        )
        for draw in range(n_draws)
    ]


def linear_accuracy(rows, y, held_out, y_held_out, C=1.0):
    """Accuracy of logistic regression on scaled rows."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=300))
    return probe.fit(rows, y).score(held_out, y_held_out)


def tuned_linear_accuracy(rows, y, held_out, y_held_out, *, scales=True):
    """Accuracy with C by cross-validation on the labels given; C = 1 for one a class.

    Columns are scaled to unit variance, unless their variances are to be kept: then all
    are divided by one number.
    Where there are fewer rows than columns, rows are turned into as many coordinates
    first: nothing is lost, and the regression is the same. Where the largest C has not
    converged after 300 iterations it is scored as it is.
    """
    rows, held_out = rows / rows.std(), held_out / rows.std()
    steps = [StandardScaler(with_std=scales)]
    if len(rows) < rows.shape[1]:
        steps.append(PCA())
    turn = make_pipeline(*steps).fit(rows)
    rows, held_out = turn.transform(rows), turn.transform(held_out)
    probe = LogisticRegression(max_iter=300)
    n_a_class = np.unique(y, return_counts=True)[1].min()
    if n_a_class > 1:
        folds = (
            StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
            if len(y) > MANY
            else int(min(5, n_a_class))
        )
        probe = GridSearchCV(probe, {"C": C_GRID}, cv=folds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(probe.fit(rows, y).score(held_out, y_held_out))


def knn_accuracy(rows, y, held_out, y_held_out):
    """Accuracy of a vote of the 200 nearest by cosine, or of all there are."""
    n_neighbors = min(N_NEIGHBORS, len(y))
    return metrics.knn_accuracy(rows, y, held_out, y_held_out, n_neighbors=n_neighbors)
