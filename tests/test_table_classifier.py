"""What BYOLClassifier refuses, beside test_classifier_errors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_byol import BYOLClassifier, UnlabeledPool
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited", "no_training")

X = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
Y = np.arange(20) % 2
NAN, INF = float("nan"), float("inf")


def fit(y=Y, images=X, pool=None, **parameters):
    byol = BYOLClassifier(**{"byol": tiny(), "max_epochs": 1, **parameters})
    return byol.fit(images, y, X_unlabeled=pool)


def with_pool(pool):
    return tiny().fit(X, X_unlabeled=pool)


REFUSED = {
    # Labels
    "number": (
        lambda: fit(3),
        "y must be one label per image: y should be a 1d array, got",
    ),
    "one_string": (
        lambda: fit(pd.Series(["a", None] * 10, dtype="string")),
        "y holds labels of 1 class, 'a', where a classifier needs",
    ),
    "missing_ints": (
        lambda: fit(pd.Series([None] * 20, dtype="Int64")),
        "y holds no label: all of its values are -1, None or NaN.",
    ),
    "string_of_nan": (
        lambda: fit(np.array(["a", "b", NAN, NAN] * 5)),
        "y holds the string 'nan', which numpy makes of NaN beside",
    ),
    "infinite": (
        lambda: fit(np.where(Y, INF, 0)),
        "Input y contains infinity or a value too large for",
    ),
    "byte_strings": (
        lambda: fit(np.array([b"a", b"b"] * 10)),
        "y holds bytes, which scikit-learn does not take for labels.",
    ),
    "bytes_in_objects": (
        lambda: fit(np.array([b"a", b"b"] * 10, dtype=object)),
        "y holds bytes, which scikit-learn does not take for labels.",
    ),
    "masked_labels": (
        lambda: fit(np.ma.masked_equal(Y, 1)),
        "y has masked values. Unlabelled images are marked by the",
    ),
    "structured_labels": (
        lambda: fit(np.zeros(20, [("a", int)])),
        "y has values of the type [('a', '<i8')]. Pass strings, or",
    ),
    # Images
    "no_images": (
        lambda: fit(images=None),
        "X is of type NoneType, which holds no images: Expected",
    ),
    "fewer_images": (
        lambda: fit(images=X[:19]),
        "y has 20 labels, but X has 19 images. Unlabelled images",
    ),
    # Parameters
    "frozen_nothing": (
        lambda: fit(byol=FrozenEstimator(None)),
        "byol=FrozenEstimator(...) must hold a BYOLTransformer.",
    ),
    "zero_weight": (
        lambda: fit(class_weight={0: 0, 1: 1}),
        "class_weight must have finite numbers above 0. Got 0 for",
    ),
    "infinite_weight": (
        lambda: fit(class_weight={0: INF, 1: 1}),
        "class_weight must have finite numbers above 0. Got inf",
    ),
    "weight_that_is_a_word": (
        lambda: fit(class_weight={0: "much"}),
        "class_weight must have finite numbers above 0. Got 'much'",
    ),
    "weight_of_another_type": (
        lambda: fit(class_weight={"0": 1}),
        "class_weight={'0': 1} does not fit y: The classes, [0,",
    ),
    "weight_decay": (lambda: fit(weight_decay=-1), "Got -1 instead."),
    "batch_of_one": (lambda: fit(batch_size=1), "Got 1 instead."),
    # The pool
    "pool_nowhere": (
        lambda: fit(pool="nowhere"),
        "X is the path 'nowhere', which is not a folder. Pass a",
    ),
    "pool_in_a_pool": (
        lambda: with_pool(UnlabeledPool(UnlabeledPool(X))),
        "X is of type UnlabeledPool. Pass rows (n_samples,",
    ),
    "pool_of_nothing": (
        lambda: with_pool(UnlabeledPool(None)),
        "X is of type NoneType. Pass rows (n_samples, n_features),",
    ),
    "pool_of_another_size": (
        lambda: with_pool(np.zeros((5, 9, 9))),
        "X has shape (5, 9, 9), but this BYOLTransformer was",
    ),
    "pool_of_another_scale": (
        lambda: with_pool(X[:3] / 255),
        "X has values from 0 to 0.976471, but this BYOLTransformer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)
