"""Images in containers of libraries that few users have, and what TensorBoard shows."""

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image
from sklearn.model_selection import cross_val_predict
from skorch.callbacks import TensorBoard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from sklearn_byol import list_images
from tests.conftest import N_FILES, pipeline, quick, tiny
from tests.test_depth import DEPTHS, NO_SUCH, written

pytestmark = pytest.mark.slow


def pictures(pixels):
    """Make a dataset of Hugging Face's, with a column beside the images."""
    return datasets.Dataset.from_dict(
        {
            "label": list(range(N_FILES)),
            "image": [Image.fromarray(image) for image in pixels],
        },
        features=datasets.Features(
            {"label": datasets.Value("int64"), "image": datasets.Image()}
        ),
    )


@pytest.mark.parametrize(
    "make", [pl.Series, lambda paths: pl.DataFrame({"path": paths})]
)
def test_paths_in_polars_are_read_as_the_array(make, paths, rows):
    byol = quick()
    np.testing.assert_array_equal(byol.fit_transform(make(paths)), rows)
    assert byol.files_ == paths


def test_hugging_face_datasets_are_read(pixels, rows):
    np.testing.assert_array_equal(quick().fit_transform(pictures(pixels)), rows)


@pytest.mark.parametrize(
    "make",
    [
        lambda pixels, paths: pl.Series(paths),
        lambda pixels, paths: pictures(pixels)["image"],
    ],
)
def test_other_containers_go_through_cross_validation(make, pixels, paths):
    y = np.arange(N_FILES) % 2
    expected, found = (
        cross_val_predict(pipeline(), X, y, cv=2, method="decision_function")
        for X in (pixels, make(pixels, paths))
    )
    np.testing.assert_array_equal(found, expected)


def test_a_polars_frame_names_its_features_too(digits):
    X = pl.DataFrame(digits[0], schema=[f"pixel_{i}" for i in range(64)])
    byol = quick().fit(X)
    assert list(byol.feature_names_in_) == X.columns
    same = pd.DataFrame(digits[0], columns=X.columns)
    np.testing.assert_array_equal(byol.transform(X), byol.transform(same))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pl.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}), "Input X contains NaN."),
        (pl.Series([1.0] * 64), "X has one axis, of 64 values. Reshape your data:"),
    ],
)
def test_what_polars_holds_and_is_no_image_is_an_error(X, words, no_training):
    with pytest.raises((ValueError, TypeError)) as caught:
        tiny().fit(X)
    assert words in str(caught.value)


def test_tensorboard_has_what_the_history_has(digits, tmp_path):
    writer = SummaryWriter(tmp_path)
    byol = quick(max_epochs=2, callbacks=[TensorBoard(writer)]).fit(digits[0])
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag, name in [("Loss/train_loss", "loss"), ("spread", "spread")]:
        written = [event.value for event in events.Scalars(tag)]
        assert written == pytest.approx(byol.history_[name])


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_hugging_face_columns_keep_their_depth(depth, ending, tmp_path):
    if (depth, ending) in NO_SUCH:
        pytest.skip("no such files of Pillow")
    X = DEPTHS[depth]
    paths = list_images(written(X, tmp_path, f".{ending}"))
    column = datasets.Dataset.from_dict({"image": paths})
    by_array = quick().fit(X)
    for decodes in (True, False):
        images = column.cast_column("image", datasets.Image(decode=decodes))
        by_column = quick().fit(images)
        for byol, given in ((by_array, images), (by_column, images["image"])):
            np.testing.assert_allclose(
                byol.transform(given), by_array.transform(X), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("n_bands", [3, 5, 13])
def test_hugging_face_arrays_of_many_bands_are_read(n_bands):
    shape = (8, 8, n_bands)
    X = np.random.default_rng(0).integers(0, 4096, (6, *shape), dtype=np.uint16)
    features = datasets.Features({"tile": datasets.Array3D(shape, "uint16")})
    tiles = datasets.Dataset.from_dict({"tile": list(X)}, features=features)
    byol = quick(image_shape=shape).fit(X)
    for given in (tiles.with_format("numpy"), tiles.with_format("torch")):
        np.testing.assert_allclose(
            byol.transform(given), byol.transform(X), rtol=1e-4, atol=1e-5
        )
