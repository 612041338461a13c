"""What metrics, scorers, splits and recipes refuse."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from sklearn_byol import recipe
from sklearn_byol.metrics import (
    alignment,
    alignment_scorer,
    effective_rank,
    effective_rank_scorer,
    knn_accuracy,
    uniformity,
    uniformity_scorer,
)
from sklearn_byol.model_selection import LabeledTestSplit
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited")

ROWS = np.random.default_rng(0).normal(size=(10, 4))
IMAGES = np.random.default_rng(0).random((10, 8, 8))
Y = np.arange(10) % 2
NAN, INF = float("nan"), float("inf")
BYOL = tiny(max_epochs=0, encoder="auto")


def knn(train=ROWS, y_train=Y, test=ROWS, y_test=Y, n_neighbors=3, **options):
    return knn_accuracy(
        train, y_train, test, y_test, n_neighbors=n_neighbors, **options
    )


def spoiled(value):
    rows = ROWS.copy()
    rows[-1, -1] = value
    return rows


REFUSED = {
    # Representations
    "one_axis": (
        lambda: effective_rank(ROWS[0]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "one_row": (
        lambda: uniformity(ROWS[:1]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "nan": (lambda: uniformity(spoiled(NAN)), "Input representations contains NaN."),
    "complex": (
        lambda: effective_rank(ROWS + 0j),
        "representations must be a dense matrix of finite",
    ),
    "objects": (
        lambda: effective_rank(np.full((3, 2), "a", object)),
        "representations must be a dense matrix of finite",
    ),
    "complex_tensor": (
        lambda: effective_rank(torch.tensor(ROWS) + 0j),
        "representations must be a dense matrix of finite",
    ),
    "sparse": (
        lambda: effective_rank(sparse.csr_array(ROWS)),
        "representations must be a dense matrix of finite",
    ),
    "masked": (
        lambda: effective_rank(np.ma.masked_greater(ROWS, 1)),
        "representations must not have masked values. Pass",
    ),
    "meta_tensor": (
        lambda: uniformity(torch.tensor(ROWS).to("meta")),
        "representations must be a dense matrix of finite",
    ),
    "other_columns": (
        lambda: alignment(ROWS, ROWS[:, :2]),
        "representations_1 has shape (10, 4), but",
    ),
    "alpha_zero": (lambda: alignment(ROWS, ROWS, alpha=0), "Got 0 instead."),
    "t_nan": (lambda: uniformity(ROWS, t=NAN), "Got nan instead."),
    # Nearest neighbours
    "no_labels": (lambda: knn(y_train=None), "Got None instead."),
    "fewer_labels": (
        lambda: knn(y_train=Y[:9]),
        "y_train has 9 entries, but representations_train has 10.",
    ),
    "labels_of_none": (
        lambda: knn(y_train=[None] * 10),
        "y_train holds no label: all of its values are -1, None or",
    ),
    "labels_of_nan": (
        lambda: knn(y_test=[NAN] * 10),
        "y_test holds no label: all of its values are -1, None or",
    ),
    "labels_of_two_columns": (
        lambda: knn(y_train=np.c_[Y, Y]),
        "y_train must be one label per image: y should be a 1d",
    ),
    "continuous_labels": (
        lambda: knn(y_train=Y + 0.5),
        "Unknown label type: continuous. Maybe you are trying to",
    ),
    "labels_of_minus_one_and_one": (
        lambda: knn(y_train=2 * Y - 1),
        "y_train holds -1 and 1 only, of which -1 marks an image",
    ),
    "labels_of_two_types": (
        lambda: knn(y_train=["a", 1] * 5),
        "y_train mixes labels of the types int, str. Pass strings",
    ),
    "no_neighbour": (lambda: knn(n_neighbors=0), "Got 0 instead."),
    "too_many_neighbours": (
        lambda: knn(n_neighbors=11),
        "n_neighbors=11 is more than the 10 rows of",
    ),
    "fewer_labelled_neighbours": (
        lambda: knn(y_train=np.r_[Y[:9], -1], n_neighbors=10),
        "n_neighbors=10 is more than the 9 labelled rows of",
    ),
    "temperature_zero": (lambda: knn(temperature=0), "Got 0 instead."),
    # Scorers
    "scorer_of_nothing": (
        lambda: effective_rank_scorer(None, IMAGES),
        "estimator must have transform, or be a Pipeline of",
    ),
    "scorer_of_a_class": (
        lambda: uniformity_scorer(type(BYOL), IMAGES),
        "estimator must have transform, or be a Pipeline of",
    ),
    "alignment_of_a_class": (
        lambda: alignment_scorer(type(BYOL), IMAGES),
        "estimator must be a BYOLTransformer or a Pipeline with",
    ),
    "scorer_of_another": (
        lambda: alignment_scorer(StandardScaler(), IMAGES),
        "estimator must be a BYOLTransformer or a Pipeline with",
    ),
    # Splits and recipes
    "one_fold": (
        lambda: list(LabeledTestSplit(1).split(ROWS, Y)),
        "k-fold cross-validation requires at least one train/test",
    ),
    "no_label_in_y": (
        lambda: list(LabeledTestSplit(2).split(ROWS, [-1] * 10)),
        "y holds no label: all of its values are -1, None or NaN.",
    ),
    "recipe_unknown": (
        lambda: recipe("papers"),
        "recipe must be one of 'paper', 'cifar10'. Got 'papers'.",
    ),
    "recipe_list": (
        lambda: recipe(["paper"]),
        "recipe must be one of 'paper', 'cifar10'. Got ['paper'].",
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_or_drawn_is_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)


TAKEN = {
    "tensor": lambda: torch.tensor(ROWS),
    "with_gradient": lambda: torch.tensor(ROWS).requires_grad_(),
    "frame": lambda: pd.DataFrame(ROWS),
    "lists": ROWS.tolist,
    "objects": lambda: ROWS.astype(object),
    "byte_swapped": lambda: ROWS.astype(">f8"),
    "negative_strides": lambda: ROWS[::-1].copy()[::-1],
    "long_doubles": lambda: ROWS.astype(np.longdouble),
    "fortran": lambda: np.asfortranarray(ROWS),
    "scaled": lambda: ROWS * 1e100,
}


@pytest.mark.parametrize("name", TAKEN)
def test_other_layouts_of_the_same_rows_give_the_same_figures(name):
    rows = TAKEN[name]()
    for figure in (effective_rank, uniformity):
        assert figure(rows) == pytest.approx(figure(ROWS))
    assert knn(rows) == knn()
