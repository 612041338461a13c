"""How much representations say about labels."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


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
