"""What a fitted transformer refuses, and what it may not lose by refusing it."""

import copy
import re

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_byol import DeviceWarning, UnlabeledPool
from tests.conftest import Pairs, tiny

pytestmark = pytest.mark.usefixtures("limited")

BYTES = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
ROWS = BYTES.reshape(6, 64)


@pytest.fixture(scope="module")
def byol():
    """A transformer fitted on six gray images of bytes; tests copy it."""
    return tiny(warm_start=True, max_epochs=1).fit(BYTES)


def spoiled(value, dtype=float):
    X = BYTES.astype(dtype)
    X[-1, -1, -1] = value
    return X


CALLS = ("transform", "partial_fit", "fit", "read_images", "sample_views")

REFUSED = {
    "other_size": (
        lambda: np.zeros((6, 9, 9), np.uint8),
        "X has shape (6, 9, 9), but this BYOLTransformer was",
    ),
    "fewer_columns": (
        lambda: ROWS[:, :63],
        "X has 63 features, but BYOLTransformer is expecting 64",
    ),
    "three_channels": (
        lambda: np.zeros((6, 8, 8, 3), np.uint8),
        "X has 3 channels, but this BYOLTransformer was fitted on",
    ),
    "fractions": (
        lambda: BYTES / 255,
        "X has values from 0 to 1, but this BYOLTransformer was",
    ),
    "centred": (
        lambda: BYTES / 127.5 - 1,
        "X has values from -1 to 1, but this BYOLTransformer was",
    ),
    "int64_beyond_bytes": (
        lambda: spoiled(100_000, np.int64),
        "X has values from 0 to 100000, but this BYOLTransformer",
    ),
    "negative": (
        lambda: -BYTES.astype(int),
        "X has values from -255 to 0, but this BYOLTransformer was",
    ),
    "paths_that_are_none": (
        lambda: ["a.png"] * 3,
        "3 of 3 images cannot be read: a.png (there is no such file",
    ),
    "dataset_of_numbers": (
        lambda: Pairs([1, 2, 3]),
        "3 of 3 images cannot be read: X[0] (it is of type int, no",
    ),
    "pool": (
        lambda: UnlabeledPool(BYTES),
        "X is of type UnlabeledPool. Pass rows (n_samples,",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_fitted_transformer_refuses_what_it_was_not_fitted_on(name, byol):
    make, words = REFUSED[name]
    for method in CALLS:
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(copy.deepcopy(byol), method)(make())
        assert words in str(caught.value)
        assert re.search(r"\bX\b|images", str(caught.value))


def test_what_was_refused_changes_nothing(byol):
    kept = copy.deepcopy(byol)
    for make, _ in REFUSED.values():
        for method in ("transform", "partial_fit", "fit"):
            with pytest.raises((ValueError, TypeError)):
                getattr(kept, method)(make())
    np.testing.assert_array_equal(kept.transform(BYTES), byol.transform(BYTES))
    assert kept.n_iter_ == byol.n_iter_


@pytest.mark.parametrize("method", ["transform", "read_images", "sample_views"])
def test_what_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(tiny(), method)(BYTES)


def test_a_refit_takes_another_shape(byol):
    refitted = copy.deepcopy(byol).set_params(warm_start=False)
    refitted.fit(np.zeros((4, 5, 9)) + np.eye(5, 9))
    assert refitted.image_shape_ == (1, 5, 9)
    with pytest.raises(ValueError, match=r"X has shape \(6, 8, 8\)"):
        refitted.transform(BYTES)


def test_a_device_that_is_gone_is_a_warning_that_names_it(byol):
    moved = copy.deepcopy(byol).set_params(device="cuda:99")
    with pytest.warns(DeviceWarning, match="device='cuda:99' is not there"):
        moved.transform(BYTES)
