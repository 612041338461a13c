"""NeighborsDisplay: what is near, and what is framed."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

mpl.use("agg")

from sklearn_byol.inspection import (
    NeighborsDisplay,
)
from tests.inspection.conftest import IMAGES, Y, texts


def test_neighbours_are_the_nearest_by_cosine(rows):
    display = NeighborsDisplay.from_representations(
        rows * np.arange(1, 21)[:, None], IMAGES, queries=[3, 15], n_neighbors=4
    )
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    for row, query in zip(display.indices, [3, 15], strict=True):
        others = [i for i in np.argsort(-cosines[query]) if i != query]
        assert list(row) == [query, *others[:4]]
    np.testing.assert_allclose(display.cosines[0], cosines[3, display.indices[0, 1:]])
    assert len(display.ax_.images) == 2 * 5
    assert texts(display)[2] == "no. 3"
    assert texts(display)[3] == f"{display.cosines[0, 0]:.2f}"


def test_pictures_are_those_of_the_neighbours(fitted, digits):
    display = NeighborsDisplay.from_estimator(
        fitted, digits[0], queries=[7, 7, 0], n_neighbors=2
    )
    expected = digits[0][display.indices].reshape(3, 3, 8, 8) / 16
    np.testing.assert_allclose(display.pictures, expected, rtol=1e-6)


def test_a_query_is_no_neighbour_of_itself_but_its_copy_is():
    queries = np.arange(20)
    display = NeighborsDisplay.from_representations(
        np.repeat(np.eye(10), 2, axis=0), IMAGES, queries=queries, n_neighbors=1
    )
    np.testing.assert_array_equal(display.indices[:, 1], queries ^ 1)


def test_a_query_that_its_copies_push_out_stays():
    display = NeighborsDisplay.from_representations(
        np.ones((20, 3)), IMAGES, queries=[0, 19], n_neighbors=3
    )
    assert display.indices[:, 0].tolist() == [0, 19]
    assert (display.indices[:, 1:] != display.indices[:, :1]).all()


def test_neighbours_with_another_label_are_framed(rows):
    y = np.array(["cat"] * 10 + ["dog"] * 10)
    y[3] = "dog"
    display = NeighborsDisplay.from_representations(
        rows, IMAGES, y, queries=[3], n_neighbors=9
    )
    assert len(display.ax_.lines) == 9
    assert texts(display)[2] == "dog   no. 3"
    assert texts(display)[3].startswith("cat")


def test_neighbours_are_read_through_a_pipeline(fitted, digits):
    X, y = digits
    scale = StandardScaler().fit(fitted.transform(X))
    pipe = make_pipeline(FunctionTransformer(np.sqrt), fitted, scale)
    display = NeighborsDisplay.from_estimator(pipe, X, y, queries=[1], n_neighbors=2)
    expected = np.sqrt(X[display.indices]).reshape(1, 3, 8, 8) / 16
    np.testing.assert_allclose(display.pictures, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_neighbors": 20}, "n_neighbors must be from 1 to 19, as there are 20"),
        ({"queries": [20]}, r"queries must be indices from 0 to 19\. Got array"),
        ({"y": Y[:5]}, "y has 5 entries, but representations has 20"),
        ({"images": IMAGES[:5]}, "images has 5 entries, but representations has 20"),
        (
            {"images": np.zeros((20, 64))},
            r"images must have shape .* Got shape \(20, 6",
        ),
        ({"representations": np.full((20, 2), np.nan)}, "representations contains NaN"),
    ],
)
def test_neighbours_name_both_sides_of_a_mismatch(rows, changes, message):
    with pytest.raises(ValueError, match=message):
        NeighborsDisplay.from_representations(
            **{"representations": rows, "images": IMAGES, **changes}
        )


@pytest.mark.parametrize(
    ("images", "first"),
    [
        (np.full((20, 5, 5, 3), 51, np.uint8), 0.2),
        (torch.full((20, 3, 5, 5), 0.2), 0.2),
        (np.arange(20 * 25).reshape(20, 5, 5, 1) - 100.0, 0.0),
    ],
)
def test_images_of_any_kind_become_pictures(rows, images, first):
    display = NeighborsDisplay.from_representations(rows, images, queries=[0])
    shape = (5, 5, 3) if 3 in images.shape else (5, 5)
    assert display.pictures.shape[2:] == shape
    assert display.pictures[0, 0].flat[0] == pytest.approx(first)
