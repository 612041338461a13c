"""What a fitted transformer refuses, and what it may not lose by refusing it."""

import copy
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
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
    "none": (lambda: None, "X is of type NoneType. Pass rows (n_samples, n_features),"),
    "number": (lambda: 3.0, "X is of type float. Pass rows (n_samples, n_features),"),
    "zero_axes": (
        lambda: np.array(3.0),
        "X is a single value. Pass rows (n_samples, n_features),",
    ),
    "one_axis": (lambda: ROWS[0], "X has one axis, of 64 values. Reshape your data:"),
    "five_axes": (
        lambda: BYTES[None, None],
        "X has 5 axes. Pass rows (n_samples, n_features), gray",
    ),
    "no_images": (
        lambda: BYTES[:0],
        "X holds no images: found 0 sample(s), its shape is (0, 8,",
    ),
    "no_rows": (
        lambda: ROWS[:0],
        "X holds no images: found 0 sample(s), its shape is (0,",
    ),
    "empty_list": (list, "X holds no images: found 0 sample(s), its shape is (0,)."),
    "other_size": (
        lambda: np.zeros((6, 9, 9), np.uint8),
        "X has shape (6, 9, 9), but this BYOLTransformer was",
    ),
    "turned": (
        lambda: np.zeros((6, 4, 16), np.uint8),
        "X has shape (6, 4, 16), but this BYOLTransformer was",
    ),
    "fewer_columns": (
        lambda: ROWS[:, :63],
        "X has 63 features, but BYOLTransformer is expecting 64",
    ),
    "more_columns": (
        lambda: np.zeros((6, 65)),
        "X has 65 features, but BYOLTransformer is expecting 64",
    ),
    "three_channels": (
        lambda: np.zeros((6, 8, 8, 3), np.uint8),
        "X has 3 channels, but this BYOLTransformer was fitted on",
    ),
    "three_channels_first": (
        lambda: np.zeros((6, 3, 8, 8), np.uint8),
        "X has 3 channels, but this BYOLTransformer was fitted on",
    ),
    "one_image_without_its_axis": (
        lambda: BYTES[0],
        "X has 8 features, but BYOLTransformer is expecting 64",
    ),
    "nan_in_one_pixel": (lambda: spoiled(np.nan), "Input X contains NaN."),
    "inf_in_float16": (
        lambda: spoiled(np.inf, np.float16),
        "Input X contains infinity or a value too large for",
    ),
    "fractions": (
        lambda: BYTES / 255,
        "X has values from 0 to 1, but this BYOLTransformer was",
    ),
    "centred": (
        lambda: BYTES / 127.5 - 1,
        "X has values from -1 to 1, but this BYOLTransformer was",
    ),
    "16_bits": (
        lambda: BYTES.astype(np.uint16) * 257,
        "X has values from 0 to 65535, but this BYOLTransformer",
    ),
    "int64_beyond_bytes": (
        lambda: spoiled(100_000, np.int64),
        "X has values from 0 to 100000, but this BYOLTransformer",
    ),
    "negative": (
        lambda: -BYTES.astype(int),
        "X has values from -255 to 0, but this BYOLTransformer was",
    ),
    "beyond_float32": (
        lambda: spoiled(1e300),
        "X has values from 0 to 1e+300, but this BYOLTransformer",
    ),
    "complex": (
        lambda: BYTES + 0j,
        "X cannot be read as images: Complex data not supported.",
    ),
    "words": (
        lambda: np.full((6, 8, 8), "a"),
        "X holds strings where pixels are expected. Pass images as",
    ),
    "paths_that_are_none": (
        lambda: ["a.png"] * 3,
        "3 of 3 images cannot be read: a.png ([Errno 2] No such",
    ),
    "dates": (
        lambda: np.zeros((6, 64), "datetime64[s]"),
        "X holds values of the type datetime64[s], which are no",
    ),
    "objects": (lambda: np.array([[None] * 64] * 6), "Input X contains NaN."),
    "masked": (
        lambda: np.ma.masked_greater(BYTES, 100),
        "X is a masked array with 228 masked values, which have no",
    ),
    "structured": (
        lambda: np.zeros((6, 64), [("a", float)]),
        "X holds values of the type [('a', '<f8')], which are no",
    ),
    "sparse": (
        lambda: sparse.csr_array(ROWS),
        "Sparse data was passed for X, but dense data is required.",
    ),
    "sparse_tensor": (
        lambda: torch.zeros(6, 64).to_sparse(),
        "X is a tensor that is torch.sparse_coo, of which no array",
    ),
    "meta_tensor": (
        lambda: torch.zeros(6, 64, device="meta"),
        "X is a tensor that is meta, of which no array can be",
    ),
    "frame_of_words": (
        lambda: pd.DataFrame([["a"] * 64] * 6),
        "X has 64 columns of strings. Pass the one column that",
    ),
    "generator": (
        lambda: iter(BYTES),
        "X is a iterator, which has no first, second and third",
    ),
    "dataset_of_numbers": (
        lambda: Pairs([1, 2, 3]),
        "3 of 3 images cannot be read: X[0] (it is of type int, no",
    ),
    "folder_that_is_none": (
        lambda: "no/where",
        "X is the path 'no/where', which is no folder. Pass a",
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
