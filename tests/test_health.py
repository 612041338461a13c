"""Trainings between well and dead are said, and good ones are left in peace."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_byol import BYOLTransformer, CollapseWarning
from sklearn_byol.training._health import Distance, warn_of_collapse
from tests.conftest import quick


@pytest.fixture(scope="module")
def images():
    X, _ = load_digits(return_X_y=True)
    return X[:600]


BAD = [
    {"lr": 0.1, "max_epochs": 10},
    {"optimizer": "sgd", "lr": 6.0},
    {"weight_decay": 100.0},
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:lr=0.1 is far above")
@pytest.mark.parametrize("settings", BAD)
def test_a_training_that_ends_partly_collapsed_is_said(images, settings):
    byol = quick(**{"max_epochs": 15, **settings})
    with pytest.warns(CollapseWarning, match="partly collapsed, or diverged: "):
        byol.fit(images)


GOOD = [
    {"max_epochs": 1},
    {"max_epochs": 10},
    {"max_epochs": 40},
    {"lr": 1e-3, "max_epochs": 10},
    {"momentum": 0.99, "max_epochs": 10},
    {"batch_size": 32, "max_epochs": 5},
    {"optimizer": "sgd", "max_epochs": 10},
    {"optimizer": "lars", "max_epochs": 10},
    {"views": "mild", "max_epochs": 10},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", GOOD)
def test_a_good_training_is_left_in_peace(images, settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(**settings).fit(images)


def test_a_target_network_that_never_moves_is_said(images):
    with pytest.warns(CollapseWarning, match="momentum=1 never moves the target"):
        quick(momentum=1).fit(images)


def test_an_encoder_that_was_trained_already_is_compared_with_nothing(images):
    byol = quick(max_epochs=3).fit(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BYOLTransformer(byol.encoder_, max_epochs=1, random_state=0).fit(images)


def history(spread, rank):
    return {"spread": [0.9, spread], "effective_rank": [40.0, rank]}


@pytest.mark.parametrize(
    ("spread", "rank", "n_directions", "distance", "sign"),
    [
        (0.44, 20.0, 128, None, "spread of the projections is 0.44"),
        (0.8, 3.9, 128, None, "effective rank is 3.9 of 128"),
        (0.8, 20.0, 128, Distance(0.49, 0.9), "use 49% of the directions"),
        (0.8, 20.0, 128, Distance(0.9, 0.2), r"little in common .* \(CKA 0.20\)"),
        (0.01, 1.0, 2, None, "ended collapsed: the spread of the projections is 0.010"),
    ],
)
def test_each_sign_is_named(spread, rank, n_directions, distance, sign):
    with pytest.warns(CollapseWarning, match=sign):
        warn_of_collapse(history(spread, rank), n_directions, distance)


@pytest.mark.parametrize(
    ("spread", "rank", "n_directions", "distance"),
    [
        (0.46, 4.1, 128, Distance(0.51, 0.26)),
        (0.5, 1.9, 2, None),  # of two images a batch
        (0.8, 3.0, 31, None),
        (0.8, 20.0, 128, Distance(1.2, 0.1)),  # more directions, of another kind
    ],
)
def test_what_may_be_well_is_left_in_peace(spread, rank, n_directions, distance):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(history(spread, rank), n_directions, distance)


def test_the_share_of_directions_is_that_of_the_ranks():
    rows = np.eye(8, dtype=np.float32).repeat(8, axis=0)
    narrow = rows * (np.arange(8) < 2)
    narrow[:, 0] += 1e-3
    found = Distance.between(rows, narrow)
    assert found.share == pytest.approx(2 / 8, abs=0.05)
