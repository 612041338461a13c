"""How much representations say about labels: linear probe and nearest neighbours."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N_FOLDS = 5
N_NEIGHBORS = 200
TEMPERATURE = 0.1
INVERSE_PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


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


def linear_accuracy(rows, y, test_rows, y_test):
    """Accuracy of logistic regression on scaled rows; C by cross-validation.

    With one label a class nothing can be held out, and C is 1.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    n_folds = min(N_FOLDS, np.unique(y, return_counts=True)[1].min())
    if n_folds > 1:
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
        if len(y) > 1000:  # a fifth held out once says enough
            folds = [next(folds.split(rows, y))]
        grid = {"logisticregression__C": INVERSE_PENALTIES}
        probe = GridSearchCV(probe, grid, cv=folds)
    return probe.fit(rows, y).score(test_rows, y_test)


def neighbor_accuracy(rows, y, test_rows, y_test):
    """Accuracy of cosine nearest neighbours, 200 of them weighted by exp(cos / 0.1)."""
    classifier = KNeighborsClassifier(
        min(N_NEIGHBORS, len(y)),
        metric="cosine",
        weights=lambda distances: np.exp((1 - distances) / TEMPERATURE),
    )
    return classifier.fit(rows, y).score(test_rows, y_test)
