"""What fit takes for X and what it does not: one row of a table for each case.

Every error comes before any training, names X and says what would do.
"""

import re

import numpy as np
import pytest

from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited", "no_training")

ROWS = np.random.default_rng(0).random((6, 64))
IMAGES = ROWS.reshape(6, 8, 8)


def spoiled(value, dtype=np.float64, X=IMAGES):
    """Images of which one pixel, the last of the last image, is spoiled."""
    X = X.astype(dtype)
    X[(-1,) * X.ndim] = value
    return X


def objects(*items):
    """An array of objects, of one axis."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def self_containing():
    """A list that holds itself."""
    items = []
    items += [items, items]
    return items


class Rude:
    """Has a length and cannot be indexed."""

    def __len__(self):
        return 3


class RudeArray:
    """Claims to be an array and is none."""

    shape, ndim, dtype = (6, 64), 2, np.dtype(float)

    def __len__(self):
        return 6


PLAIN = [("value", float), ("other", float)]

REFUSED = {
    # Other types
    "none": (lambda: None, "X is of type NoneType. Pass rows (n_samples, n_features),"),
    "type": (
        lambda: np.ndarray,
        "X is of type type. Pass rows (n_samples, n_features),",
    ),
    "generator": (
        lambda: (row for row in ROWS),
        "X is a generator, which has no first, second and third",
    ),
    "empty_string": (
        lambda: "",
        "X is the path '', which is not a folder. Pass a folder, or a",
    ),
    # Lists
    "ragged_rows": (
        lambda: [[0.0] * 64, [0.0] * 63],
        "X holds rows or images of different sizes. Pass rows",
    ),
    "ragged_images": (
        lambda: [np.zeros((8, 8)), np.zeros((8, 9))],
        "1 of 2 images cannot be read: X[1] (it is 8x9 pixels",
    ),
    "list_with_one_none": (
        lambda: [*IMAGES, None],
        "1 of 7 images cannot be read: X[6] (it is of type NoneType,",
    ),
    "list_of_words_in_rows": (
        lambda: [["a"] * 64] * 3,
        "X holds strings where pixels are expected. Pass images as",
    ),
    "list_that_holds_itself": (
        self_containing,
        "X is nested more than 8 lists deep. Pass rows (n_samples,",
    ),
    # Shapes
    "zero_axes": (
        lambda: np.array(3.0),
        "X is a single value. Pass rows (n_samples, n_features),",
    ),
    "one_axis": (
        lambda: np.zeros(64),
        "X has one axis, of 64 values. Reshape your data:",
    ),
    "five_axes": (
        lambda: np.zeros((2, 2, 3, 8, 8)),
        "X has 5 axes. Pass rows (n_samples, n_features), gray",
    ),
    "no_columns": (
        lambda: np.zeros((6, 0)),
        "X cannot be read as images: Found array with 0 feature(s)",
    ),
    "no_images": (
        lambda: np.zeros((0, 8, 8, 3)),
        "X holds no images: found 0 sample(s), its shape is (0, 8,",
    ),
    "no_height": (
        lambda: np.zeros((6, 0, 8, 3)),
        "X has an axis of length 0: its shape is (6, 0, 8, 3).",
    ),
    "one_gray_image": (
        lambda: IMAGES[:1],
        "Found 1 sample(s) in X while a minimum of 2 is required",
    ),
    "three_colour_planes": (
        lambda: np.zeros((3, 32, 32)),
        "X of shape (3, 32, 32) may be one image with 3 channels",
    ),
    "one_colour_image": (
        lambda: np.zeros((32, 32, 3)),
        "X of shape (32, 32, 3) may be one image with 3 channels",
    ),
    "channels_at_neither_end": (
        lambda: np.zeros((6, 8, 3, 9)),
        "X has images of shape (8, 3, 9), which may be 8x3 pixels",
    ),
    "channels_at_both_ends": (
        lambda: np.zeros((6, 3, 8, 3)),
        "X has images of shape (3, 8, 3), which may be 3x8 pixels",
    ),
    "cube": (
        lambda: np.zeros((6, 8, 8, 8)),
        "X has images of shape (8, 8, 8), which may have their",
    ),
    "prime_number_of_columns": (
        lambda: np.zeros((6, 67)),
        "X has rows of 67 features, which is not a square number.",
    ),
    "rows_of_colours": (
        lambda: np.zeros((6, 3072)),
        "X has rows of 3072 = 3 x 32 x 32 features, which may be",
    ),
    # Values
    "nan_in_rows": (lambda: spoiled(np.nan, X=ROWS), "Input X contains NaN."),
    "nan_in_one_pixel": (lambda: spoiled(np.nan), "Input X contains NaN."),
    "minus_inf_in_one_pixel": (
        lambda: spoiled(-np.inf),
        "Input X contains infinity or a value too large for",
    ),
    "nan_in_long_doubles": (
        lambda: spoiled(np.nan, np.longdouble),
        "Input X contains NaN.",
    ),
    "beyond_float32": (
        lambda: spoiled(1e300),
        "X has values from 0.00030069 to 1e+300, too large for",
    ),
    "range_beyond_float32": (
        lambda: 3e38 * np.sign(ROWS - 0.5),
        "X has values from -3e+38 to 3e+38, too large for float32,",
    ),
    "string_among_objects": (
        lambda: spoiled("white", object),
        "X cannot be read as images: could not convert string to",
    ),
    # Types of values
    "complex": (
        lambda: ROWS.astype(complex),
        "X cannot be read as images: Complex data not supported.",
    ),
    "dates": (
        lambda: np.zeros((6, 64), "datetime64[s]"),
        "X holds values of the type datetime64[s], which are no",
    ),
    "words": (
        lambda: np.full((6, 64), "a"),
        "X has 64 columns of strings. Pass the one column that",
    ),
    "word_images": (
        lambda: np.full((6, 8, 8), "a"),
        "X holds strings where pixels are expected. Pass images as",
    ),
    # Masks
    "masked_rows": (
        lambda: np.ma.masked_greater(ROWS, 0.5),
        "X is a masked array with 207 masked values, which have no",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_images_is_an_error_that_names_x(name):
    make, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        tiny().fit(make())
    assert words in str(caught.value)
    assert re.search(r"\bX\b", str(caught.value))
