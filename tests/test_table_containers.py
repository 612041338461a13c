"""Tensors, frames and sparse matrices that fit does not take for X."""

import re

import numpy as np
import pandas as pd
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
    "sparse_dict": (
        lambda: sparse.dok_array(ROWS),
        "Sparse data was passed for X, but dense data is required.",
    ),
    # Tensors
    "meta_tensor": (
        lambda: torch.zeros(6, 64, device="meta"),
        "X is a tensor that is meta, of which no array can be",
    ),
    "quantized_tensor": (
        lambda: torch.quantize_per_tensor(torch.zeros(6, 64), 0.1, 0, torch.quint8),
        "X is a tensor that is quantized, of which no array can be",
    ),
    "inf_bfloat16_tensor": (
        lambda: torch.full((6, 8, 8), torch.inf).bfloat16(),
        "Input X contains infinity or a value too large for",
    ),
    "nested_tensor": (
        lambda: torch.nested.nested_tensor([torch.zeros(8, 8), torch.zeros(8, 9)]),
        "X is a tensor that is nested, of which no array can be",
    ),
    "list_of_rows_of_different_lengths": (
        lambda: [torch.zeros(64), torch.zeros(63)],
        "X holds rows or images of different sizes. Pass rows",
    ),
    # Frames
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
}


@pytest.mark.parametrize("name", REFUSED)
def test_containers_of_no_images_are_an_error_that_names_x(name):
    make, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        tiny().fit(make())
    assert words in str(caught.value)
    assert re.search(r"\bX\b", str(caught.value))
