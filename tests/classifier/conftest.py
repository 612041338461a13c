"""What tests of BYOLClassifier share: images, a fitted byol, a tuned classifier."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator

from sklearn_byol import BYOLClassifier, BYOLTransformer
from tests.conftest import quick

QUICK = BYOLClassifier(BYOLTransformer(max_epochs=1, device="cpu"), max_epochs=2)


def frozen(byol, **parameters):
    """A classifier on a fitted transformer, tuned in a moment."""
    given = {"max_epochs": 3, "random_state": 0, **parameters}
    return BYOLClassifier(FrozenEstimator(byol), **given)


@pytest.fixture(scope="module")
def images():
    """500 digits, with their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:500].reshape(-1, 8, 8), y[:500]


@pytest.fixture(scope="module")
def byol(images):
    """A transformer that has learned something; tests do not change it."""
    return quick(max_epochs=10).fit(images[0])


def few(y, n_a_class):
    """Labels of the first images of each class only."""
    marked = np.full(len(y), -1)
    for label in np.unique(y):
        marked[np.flatnonzero(y == label)[:n_a_class]] = label
    return marked


@pytest.fixture(scope="module")
def tuned(byol, images):
    """A classifier of 10 labels per class; tests do not change it."""
    return frozen(byol, max_epochs="auto").fit(images[0], few(images[1], 10))
