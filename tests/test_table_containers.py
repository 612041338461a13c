"""Tensors, frames and sparse matrices that fit does not take for X."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from tests.conftest import tiny

pytestmark = [
    pytest.mark.usefixtures("limited", "no_training"),
    pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested:UserWarning"),
]

ROWS = np.random.default_rng(0).random((6, 64))
IMAGES = ROWS.reshape(6, 8, 8)


def spoiled(value, dtype=np.float64, X=IMAGES):
    """Images of which one pixel, the last of the last image, is spoiled."""
    X = X.astype(dtype)
    X[(-1,) * X.ndim] = value
    return X


def frame():
    """Rows as a frame whose columns have names."""
    return pd.DataFrame(ROWS).add_prefix("pixel")


REFUSED = {
    # Sparse
    "sparse_matrix": (
        lambda: sparse.csr_matrix(ROWS),
        "Sparse data was passed for X, but dense data is required.",
    ),
    "sparse_array": (
        lambda: sparse.coo_array(ROWS),
        "Sparse data was passed for X, but dense data is required.",
    ),
    "sparse_dict": (
        lambda: sparse.dok_array(ROWS),
        "Sparse data was passed for X, but dense data is required.",
    ),
    "list_of_sparse": (
        lambda: [sparse.csr_array(ROWS)] * 3,
        "X has one axis, of 3 values. Reshape your data:",
    ),
    # Tensors
    "zero_axes_tensor": (
        lambda: torch.tensor(3.0),
        "X is a single value. Pass rows (n_samples, n_features),",
    ),
    "one_axis_tensor": (
        lambda: torch.zeros(64),
        "X has one axis, of 64 values. Reshape your data:",
    ),
    "five_axes_tensor": (
        lambda: torch.zeros(2, 2, 3, 8, 8),
        "X has 5 axes. Pass rows (n_samples, n_features), gray",
    ),
    "complex_tensor": (
        lambda: torch.zeros(6, 64, dtype=torch.complex64),
        "X cannot be read as images: Complex data not supported.",
    ),
    "sparse_tensor": (
        lambda: torch.zeros(6, 64).to_sparse(),
        "X is a tensor that is torch.sparse_coo, of which no array",
    ),
    "meta_tensor": (
        lambda: torch.zeros(6, 64, device="meta"),
        "X is a tensor that is meta, of which no array can be",
    ),
    "quantized_tensor": (
        lambda: torch.quantize_per_tensor(torch.zeros(6, 64), 0.1, 0, torch.quint8),
        "X is a tensor that is quantized, of which no array can be",
    ),
    "nan_tensor": (lambda: torch.from_numpy(spoiled(np.nan)), "Input X contains NaN."),
    "inf_bfloat16_tensor": (
        lambda: torch.full((6, 8, 8), torch.inf).bfloat16(),
        "Input X contains infinity or a value too large for",
    ),
    "nested_tensor": (
        lambda: torch.nested.nested_tensor([torch.zeros(8, 8), torch.zeros(8, 9)]),
        "X is a tensor that is nested, of which no array can be",
    ),
    "list_of_scalar_tensors": (
        lambda: [torch.tensor(1.0)] * 3,
        "X has one axis, of 3 values. Reshape your data:",
    ),
    "list_of_rows_of_different_lengths": (
        lambda: [torch.zeros(64), torch.zeros(63)],
        "X holds rows or images of different sizes: setting an",
    ),
    "list_of_tensors_of_different_sizes": (
        lambda: [torch.zeros(8, 8), torch.zeros(8, 9)],
        "1 of 2 images cannot be read: X[1] (its size is 1x8x9,",
    ),
    # Frames
    "frame_without_rows": (
        lambda: pd.DataFrame(ROWS[:0]),
        "X holds no images: found 0 sample(s), its shape is (0,",
    ),
    "frame_with_words": (
        lambda: frame().assign(name="cat"),
        "could not convert string to float: 'cat'",
    ),
    "frame_with_dates": (
        lambda: frame().assign(date=pd.Timestamp("2020-01-01")),
        "The DType",
    ),
    "frame_with_a_missing_value": (
        lambda: pd.DataFrame(ROWS).mask(ROWS > 0.99).astype("Float64"),
        "Input X contains NaN.",
    ),
    "polars_frame_with_null": (
        lambda: pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}),
        "Input X contains NaN.",
    ),
    "series_of_numbers": (
        lambda: pd.Series(ROWS[0]),
        "X has one axis, of 64 values. Reshape your data:",
    ),
    "series_of_none": (
        lambda: pd.Series([None, None], dtype=object),
        "X has one axis, of 2 values. Reshape your data:",
    ),
    "index": (
        lambda: pd.RangeIndex(6),
        "X has one axis, of 6 values. Reshape your data:",
    ),
    "polars_series_of_numbers": (
        lambda: pl.Series(ROWS[0]),
        "X has one axis, of 64 values. Reshape your data:",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_containers_of_no_images_are_an_error_that_names_x(name):
    make, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        tiny().fit(make())
    assert words in str(caught.value)
    assert re.search(r"\bX\b", str(caught.value))
