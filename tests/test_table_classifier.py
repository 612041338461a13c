"""What BYOLClassifier refuses, beside test_classifier_errors."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.frozen import FrozenEstimator

from sklearn_byol import BYOLClassifier, BYOLTransformer, UnlabeledPool
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
        "y must be one label an image: y should be a 1d array, got",
    ),
    "word": (
        lambda: fit("ab"),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "dict": (
        lambda: fit({"a": 1}),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "empty": (
        lambda: fit([]),
        "y has 0 labels, but X has 20 images. Unlabelled images",
    ),
    "three_axes": (
        lambda: fit(Y[:, None, None]),
        "y must be one label an image: Found array with dim 3",
    ),
    "one_hot": (
        lambda: fit(np.eye(2)[Y]),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "two_columns": (
        lambda: fit(pd.DataFrame({"a": Y, "b": Y})),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "missing": (
        lambda: fit([None] * 20),
        "y mixes labels of the types NoneType. Pass strings only,",
    ),
    "missing_string": (
        lambda: fit(pd.Series(["a", None] * 10, dtype="string")),
        "y mixes labels of the types NAType, str. Pass strings",
    ),
    "missing_int": (
        lambda: fit(pd.Series([0, 1, None] + [0] * 17, dtype="Int64")),
        "Input y contains NaN.",
    ),
    "nan_at_the_end": (lambda: fit(np.r_[Y[:-1], NAN]), "Input y contains NaN."),
    "infinite": (
        lambda: fit(np.where(Y, INF, 0)),
        "Input y contains infinity or a value too large for",
    ),
    "fractions": (
        lambda: fit(Y + 0.5),
        "Unknown label type: continuous. Maybe you are trying to",
    ),
    "complex": (
        lambda: fit(Y + 0j),
        "y must be one label an image: Complex data not supported",
    ),
    "byte_strings": (
        lambda: fit(np.array([b"a", b"b"] * 10)),
        "y holds bytes, which scikit-learn does not take for labels.",
    ),
    "bytes_in_objects": (
        lambda: fit(np.array([b"a", b"b"] * 10, dtype=object)),
        "y holds bytes, which scikit-learn does not take for labels.",
    ),
    "sparse_labels": (
        lambda: fit(sparse.csr_array(Y[None])),
        "y must be one label an image: Sparse data was passed for",
    ),
    "sets": (
        lambda: fit([{1}, {2}] * 10),
        "y mixes labels of the types set. Pass strings only, or",
    ),
    "tuples": (
        lambda: fit([(1, 2), (3, 4)] * 10),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "ragged_labels": (
        lambda: fit([[1], [1, 2]] * 10),
        "y must be one label an image: setting an array element",
    ),
    "generator_of_labels": (
        lambda: fit(label for label in Y),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "masked_labels": (
        lambda: fit(np.ma.masked_equal(Y, 1)),
        "y has masked values. Unlabelled images are marked by the",
    ),
    "structured_labels": (
        lambda: fit(np.zeros(20, [("a", int)])),
        "y has values of the type [('a', '<i8')]. Pass strings, or",
    ),
    "meta_labels": (
        lambda: fit(torch.tensor(Y).to("meta")),
        "y must be one label an image: can't convert meta device",
    ),
    "beyond_64_bits": (
        lambda: fit([2**70, 2**71] * 10),
        "Unknown label type: unknown. Maybe you are trying to fit",
    ),
    # Images
    "no_images": (
        lambda: fit(images=None),
        "X is of type NoneType, which holds no images: Expected",
    ),
    "number_of_images": (
        lambda: fit(images=3),
        "X is of type int, which holds no images: Expected",
    ),
    "no_axes": (
        lambda: fit(images=np.array(3.0)),
        "X is of type ndarray, which holds no images: Input should",
    ),
    "empty_list": (
        lambda: fit(images=[]),
        "y has 20 labels, but X has 0 images. Unlabelled images",
    ),
    "generator": (
        lambda: fit(images=iter(X)),
        "X is a iterator, which has no first, second and third",
    ),
    "dict_of_images": (
        lambda: fit(images={"a": X}),
        "X is a dict, which has no first, second and third image.",
    ),
    "nan_in_images": (
        lambda: fit(images=np.where(Y[:, None, None], NAN, X)),
        "Input X contains NaN.",
    ),
    "nowhere": (
        lambda: fit(images="nowhere"),
        "X is the path 'nowhere', which is no folder. Pass a",
    ),
    "fewer_images": (
        lambda: fit(images=X[:19]),
        "y has 20 labels, but X has 19 images. Unlabelled images",
    ),
    # Parameters
    "class": (lambda: fit(byol=BYOLTransformer), "Got"),
    "name": (lambda: fit(byol="auto"), "Got 'auto' instead."),
    "frozen_nothing": (
        lambda: fit(byol=FrozenEstimator(None)),
        "byol=FrozenEstimator(...) must hold a BYOLTransformer.",
    ),
    "prefit": (lambda: fit(prefit="yes"), "Got 'yes' instead."),
    "negative_weight": (
        lambda: fit(class_weight={0: -1, 1: 1}),
        "class_weight must have finite numbers above 0. Got -1 for",
    ),
    "zero_weight": (
        lambda: fit(class_weight={0: 0, 1: 1}),
        "class_weight must have finite numbers above 0. Got 0 for",
    ),
    "nan_weight": (
        lambda: fit(class_weight={0: NAN}),
        "class_weight must have finite numbers above 0. Got nan",
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
    "list_of_weights": (lambda: fit(class_weight=[1, 1]), "Got [1, 1] instead."),
    "encoder_lr_nan": (lambda: fit(encoder_lr=NAN), "Got nan instead."),
    "encoder_lr_infinite": (lambda: fit(encoder_lr=INF), "Got inf instead."),
    "head_lr_infinite": (lambda: fit(head_lr=INF), "Got inf instead."),
    "weight_decay": (lambda: fit(weight_decay=-1), "Got -1 instead."),
    "batch_of_one": (lambda: fit(batch_size=1), "Got 1 instead."),
    "half_an_epoch": (lambda: fit(max_epochs=0.5), "Got 0.5 instead."),
    "early_stopping": (lambda: fit(early_stopping="yes"), "Got 'yes' instead."),
    "fraction_nan": (lambda: fit(validation_fraction=NAN), "Got nan instead."),
    "fraction_of_all": (lambda: fit(validation_fraction=1), "Got 1 instead."),
    "random_state": (
        lambda: fit(random_state=np.random.default_rng(0)),
        "Got Generator(PCG64)",
    ),
    "verbose": (lambda: fit(verbose="no"), "Got 'no' instead."),
    # The pool
    "pool_nowhere": (
        lambda: fit(pool="nowhere"),
        "X is the path 'nowhere', which is no folder. Pass a",
    ),
    "pool_in_a_pool": (
        lambda: with_pool(UnlabeledPool(UnlabeledPool(X))),
        "X is of type UnlabeledPool. Pass rows (n_samples,",
    ),
    "pool_of_nothing": (
        lambda: with_pool(UnlabeledPool(None)),
        "X is of type NoneType. Pass rows (n_samples, n_features),",
    ),
    "empty_pool": (
        lambda: with_pool(X[:0]),
        "X holds no images: found 0 sample(s), its shape is (0, 8,",
    ),
    "pool_of_another_size": (
        lambda: with_pool(np.zeros((5, 9, 9))),
        "X has shape (5, 9, 9), but this BYOLTransformer was",
    ),
    "pool_of_other_channels": (
        lambda: with_pool(np.zeros((4, 8, 8, 3))),
        "X has 3 channels, but this BYOLTransformer was fitted on",
    ),
    "pool_of_nan": (
        lambda: with_pool(np.full((3, 8, 8), NAN)),
        "Input X contains NaN.",
    ),
    "pool_of_another_scale": (
        lambda: with_pool(X[:3] / 255),
        "X has values from 0 to 0.976471, but this BYOLTransformer",
    ),
    "pool_that_is_a_class": (
        lambda: with_pool(UnlabeledPool),
        "X is of type type. Pass rows (n_samples, n_features),",
    ),
    "pool_that_is_a_number": (
        lambda: with_pool(3),
        "X is of type int. Pass rows (n_samples, n_features), gray",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learned_from_is_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)


def test_errors_of_a_pool_name_it():
    for name in ("pool_nowhere", "pool_of_nothing", "empty_pool", "pool_of_nan"):
        with pytest.raises((ValueError, TypeError)) as caught:
            REFUSED[name][0]()
        assert "X_unlabeled" in caught.value.__notes__[0]
