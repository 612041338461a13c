"""The range of values: what decides it, what does not, and what lies beyond."""

import warnings

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_byol import (
    BYOLClassifier,
    BYOLTransformer,
    PixelRangeWarning,
    UnreadableImagesError,
)
from sklearn_byol.exceptions import ImagesWarning, SmallImageWarning
from tests.conftest import quick

RNG = np.random.default_rng(0)
SCENES = RNG.lognormal(np.log(1000), 0.3, (40, 8, 8, 3)).astype(np.uint16)
LOW, HIGH = int(SCENES.min()), int(SCENES.max())


def spoiled(value, n_pixels=1, dtype=np.uint16):
    X = SCENES.astype(dtype)
    X.reshape(-1)[:n_pixels] = value
    return X


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "f8"])
def test_one_bright_pixel_does_not_decide(dtype):
    with pytest.warns(PixelRangeWarning, match="1 of 7680 pixels of X are far from"):
        byol = quick().fit(spoiled(65535, dtype=dtype))
    assert byol.pixel_range_ == quick().fit(SCENES[1:]).pixel_range_
    assert byol.read_images(spoiled(65535, dtype=dtype)).max() == 1


@pytest.mark.parametrize("value", [-9999.0, -32768.0, 1e6])
def test_a_mark_for_missing_pixels_is_named_and_left_out(value):
    X = spoiled(value, 500, np.float32)
    with pytest.warns(PixelRangeWarning, match="holds the value .* again"):
        byol = quick().fit(X)
    low, high = byol.pixel_range_
    assert low >= LOW
    assert high <= HIGH
    images = byol.read_images(X)
    assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize(
    "X",
    [
        np.where(RNG.random((20, 8, 8)) < 0.3, 0, RNG.uniform(0.9, 1, (20, 8, 8))),
        np.where(RNG.random((20, 8, 8)) < 0.3, 0, RNG.uniform(200, 255, (20, 8, 8))),
        RNG.integers(0, 2, (20, 8, 8)) * 100.0,  # masks: all others are one value
        np.where(RNG.random((20, 8, 8)) < 0.995, 0, 1000.0),  # sparse spots
        RNG.normal(size=(20, 8, 8)),
        RNG.lognormal(size=(20, 8, 8), sigma=0.5),
        np.full((20, 8, 8), 7.0),
    ],
)
def test_ordinary_images_are_not_warned_of(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PixelRangeWarning)
        warnings.simplefilter("ignore")
        byol = quick().fit(X)
    assert byol.pixel_range_[0] <= X.min()
    assert byol.pixel_range_[1] >= X.max()


def test_clouds_in_one_fold_are_no_nan():
    y = np.arange(40) % 2
    X = SCENES.copy()
    X[20:30, 2:6, 2:6] = RNG.uniform(9000, 16000, (10, 4, 4, 3))
    for images in (X, X.astype(np.float32), X / 1e4):
        pipe = make_pipeline(quick(), LogisticRegression(max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = cross_val_score(pipe, images, y, cv=4, error_score="raise")
        assert np.isfinite(scores).all()


def test_images_on_another_scale_are_refused_and_named():
    byol = quick().fit(SCENES / 1e4)
    X = SCENES / 1e4
    X[7] = SCENES[7]
    with pytest.raises(ValueError, match=r"first such image is X\[7\]"):
        byol.transform(X)
    byol = quick().fit(SCENES)
    for other in (SCENES / HIGH, (SCENES / 16).astype(np.uint8)):
        with pytest.raises(ValueError, match="Scale X as in fit"):
            byol.transform(other)


def banded(times, dtype=np.float32):
    """Four bands, one of which has a range so many times smaller."""
    X = RNG.random((20, 8, 8, 4)).astype(np.float32)
    return (X * np.array([1, times, times, times])).astype(dtype)


@pytest.mark.parametrize("times", [10, 100, 1e4])
def test_bands_of_unlike_units_have_ranges_of_their_own(times):
    X = banded(times)
    byol = quick().fit(X)
    np.testing.assert_allclose(
        byol.channel_ranges_, np.stack([X.min((0, 1, 2)), X.max((0, 1, 2))], axis=1)
    )
    assert byol.pixel_range_ == (byol.channel_ranges_[:, 0].min(), X.max())
    images = byol.read_images(X)
    assert (images.amax(dim=(0, 2, 3)) == 1).all()


def test_a_band_far_from_the_others_has_its_own_range():
    X = banded(1)
    X[..., 0] += 1000
    np.testing.assert_allclose(quick().fit(X).channel_ranges_[0], [1000, 1001], atol=1)


def test_colours_and_bands_that_are_alike_share_a_range():
    X = banded(2)
    assert len(np.unique(quick().fit(X).channel_ranges_, axis=0)) == 1
    colours = RNG.random((20, 8, 8, 3)) * [1, 1, 0.05]  # hardly any blue
    for images in (colours, (colours * 255).astype(np.uint8)):
        ranges = quick().fit(images).channel_ranges_
        assert len(np.unique(ranges, axis=0)) == 1


@pytest.mark.parametrize(
    "make",
    [list, lambda X: [image.astype(np.float32) for image in X]],
    ids=["list", "floats"],
)
def test_images_one_by_one_have_the_range_of_the_array(make):
    X = banded(1000)
    whole = quick().fit(X)
    parts = quick(image_shape=(8, 8, 4)).fit(make(X))
    np.testing.assert_allclose(parts.channel_ranges_, whole.channel_ranges_)
    np.testing.assert_allclose(parts.transform(X), whole.transform(X), atol=1e-5)


def test_only_a_constant_band_is_constant_and_it_is_named():
    X = banded(1)
    X[..., 2] = 0.5 + 1e-4 * X[..., 2]
    quick(pixel_range=(0, 1)).fit(X)
    X[..., 2] = 0.5
    with pytest.warns(PixelRangeWarning, match="channel 2 of X are the same"):
        byol = quick(pixel_range=(0, 1)).fit(X)
    assert np.isfinite(byol.transform(X)).all()


def test_a_stated_range_is_taken_and_what_lies_beyond_is_clipped():
    byol = quick(pixel_range=(0, 2000)).fit(SCENES)
    assert byol.pixel_range_ == (0, 2000)
    expected = (SCENES.astype(np.float32) / 2000).clip(0, 1).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(byol.read_images(SCENES), expected, rtol=1e-6)
    clipped = byol.transform(SCENES.clip(0, 2000))
    np.testing.assert_allclose(byol.transform(SCENES), clipped, rtol=1e-5, atol=1e-6)


def test_a_range_is_stated_for_each_channel():
    lows, highs = [0, 100, 200], (2000.0, 3000.0, 4000.0)
    byol = quick(pixel_range=(lows, highs)).fit(SCENES)
    np.testing.assert_array_equal(byol.channel_ranges_, np.stack([lows, highs], axis=1))
    expected = ((SCENES - np.array(lows)) / (np.array(highs) - lows)).clip(0, 1)
    expected = expected.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(byol.read_images(SCENES), expected, atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [(1, 0), (0, 0), (0, np.inf), (0,), (0, 1, 2), ([0, 0], [1, 1]), ("a", "b"), []],
)
def test_a_range_that_is_none_is_refused(given):
    with pytest.raises(ValueError, match="pixel_range must be"):
        quick(pixel_range=given).fit(SCENES)


def test_ranges_of_channels_are_saved(tmp_path):
    X = banded(100)
    byol = quick().fit(X)
    joblib.dump(byol, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(loaded.transform(X), byol.transform(X))
    np.testing.assert_array_equal(loaded.channel_ranges_, byol.channel_ranges_)


def test_small_rows_of_unlike_columns_are_one_channel():
    with pytest.warns(SmallImageWarning):
        byol = BYOLTransformer(max_epochs=0).fit(RNG.random((20, 16)))
    assert byol.channel_ranges_.shape == (1, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [False, True])
def test_arrays_name_or_skip_images_that_are_no_numbers(value, rows):
    X = RNG.random((10, 8, 8))
    clean = quick().fit(X[[0, 1, *range(3, 9)]])
    X[2, 3, 3] = X[9, 0, 0] = value
    given = X.reshape(10, -1) if rows else X
    with pytest.raises(UnreadableImagesError, match=r"2 of 10 .* X\[2\], X\[9\]"):
        quick().fit(given)
    byol = quick(on_error="skip").fit(given)
    assert byol.skipped_ == ["X[2]", "X[9]"]
    found = byol.transform(given)
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [2, 9]
    expected = clean.transform(X[[0, 1, *range(3, 9)]])
    np.testing.assert_array_equal(found[[0, 1, *range(3, 9)]], expected)
    with pytest.raises(UnreadableImagesError):
        byol.read_images(given)
    with pytest.raises(UnreadableImagesError, match="No image of X"):
        byol.set_params(on_error="skip").fit(np.full((4, 8, 8), value))


def test_labelled_images_that_are_no_numbers_are_skipped():
    X, y = RNG.random((24, 8, 8)), np.arange(24) % 2
    X[5] = np.nan
    classifier = BYOLClassifier(quick(on_error="skip"), max_epochs=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = classifier.fit(X, y).predict_proba(X)
    assert np.flatnonzero(np.isnan(predicted).any(axis=1)).tolist() == [5]


def test_extremes_of_images_that_were_not_looked_at_count_too():
    X = RNG.uniform(100, 1000, (3000, 8, 8)).astype(np.float32)
    X[1], X[-2] = 90, 1100  # every third image is looked at
    byol = quick(max_epochs=0).fit(X)
    assert byol.pixel_range_ == (90, 1100)


def test_one_pixel_does_not_make_dark_integers_bright():
    X = RNG.integers(0, 20, (20, 8, 8)).astype(np.uint16)
    X[3, 2, 2] = 200
    with pytest.warns(PixelRangeWarning, match="1 of 1280 pixels"):
        byol = quick().fit(X)
    assert byol.pixel_range_ == (0, 19)


BYTES = RNG.integers(0, 256, (20, 8, 8)).astype(np.float32)


def spots(value, place):
    X = BYTES.copy()
    X[place] = value
    return X


@pytest.mark.parametrize(
    ("X", "parameters"),
    [
        (spots(-9999, np.s_[:, :2]), {}),
        (spots(-300, (3, 4, 5)), {}),
        (BYTES - 20, {"pixel_range": (0, 255)}),
        (BYTES.astype(np.uint8), {"pixel_range": (0, 1)}),
        (spots(1e6, np.s_[2]), {}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn_byol.PixelRangeWarning")
def test_what_fit_has_seen_is_no_error_in_transform(X, parameters):
    byol = quick(**parameters).fit(X)
    rows = byol.transform(X)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(byol.transform(list(X)), rows, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::sklearn_byol.PixelRangeWarning")
def test_other_types_of_numbers_of_the_same_pixels_are_no_error():
    X = spots(60000, (0, 0, 0)).astype(np.uint16)
    byol = quick().fit(X)
    rows = byol.transform(X)
    for dtype in ("f4", "i4", "f8"):
        np.testing.assert_allclose(byol.transform(X.astype(dtype)), rows, atol=1e-5)


def test_images_that_take_turns_are_both_looked_at():
    X = RNG.integers(0, 100, (2048, 8, 8)).astype(np.uint16)
    X[1::2] *= 40
    assert quick(max_epochs=0).fit(X).pixel_range_ == (0, X.max())


def test_images_most_of_which_are_clipped_are_warned_of():
    byol = quick().fit(SCENES)
    with pytest.warns(PixelRangeWarning, match=r"% of the values of X lie well"):
        byol.transform(SCENES * 16)


def test_bytes_one_by_one_are_compared_as_in_an_array():
    byol = quick().fit(SCENES)
    with pytest.raises(ValueError, match="Scale X as in fit"):
        byol.transform([image.astype(np.uint8) for image in SCENES])


def test_equal_ranges_of_all_channels_are_one():
    byol = quick(pixel_range=([0, 0, 0], [1, 1, 1])).fit(RNG.random((10, 8, 8, 3)))
    assert byol._fitted.pixel_range == (0.0, 1.0)


@pytest.mark.parametrize("marks", [(-9999, 9999), (-32768, -9999)])
def test_two_marks_are_both_named(marks):
    X = RNG.random((20, 8, 8)).astype(np.float32)
    X[:, :1], X[:, -1:] = marks
    with pytest.warns(PixelRangeWarning, match=f"{marks[0]} and {marks[1]} again"):
        byol = quick().fit(X)
    assert byol.pixel_range_[0] >= 0
    assert byol.pixel_range_[1] <= 1


def test_a_stated_range_that_no_pixel_reaches_is_refused():
    with pytest.raises(ValueError, match="none of them within pixel_range"):
        quick(pixel_range=(1e5, 2e5)).fit(SCENES)


def test_an_image_on_another_scale_is_named_wherever_it_stands():
    X = (RNG.random((400, 8, 8)) * 300 + 5).astype(np.float32)
    byol = quick(max_epochs=0).fit(X)
    X[300] = RNG.random((8, 8)) * 1e6
    with pytest.raises(ValueError, match=r"X\[300\]"):
        byol.transform(list(X))
    X[:10] = np.nan
    with pytest.raises(ValueError, match=r"X\[300\]"):
        byol.set_params(on_error="skip").transform(X)


def test_bytes_beyond_bands_with_ranges_of_their_own_are_clipped_and_said():
    X = banded(100)
    pool = list(RNG.integers(150, 180, (9, 8, 8, 4), dtype=np.uint8))
    with pytest.warns(PixelRangeWarning, match=r"100% of the values of X"):
        quick().fit(X, X_unlabeled=pool)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("odd", [255.0, 100.0, 1000.0, -1.0, -50.0])
@pytest.mark.parametrize("n_odd", [1, 300])
def test_few_pixels_do_not_make_fractions_bytes(n_odd, odd, n_channels):
    X = RNG.uniform(0.05, 0.95, (20, 24, 24, n_channels)).astype(np.float32)
    if odd == -1.0 and n_odd > 1:
        pytest.skip("then it is the black of [-1, 1]")
    X[3, :, :, 0].flat[:n_odd] = odd
    with pytest.warns(PixelRangeWarning, match="far from"):
        byol = quick(max_epochs=0).fit(X)
    assert byol.pixel_range_[0] >= 0
    assert byol.pixel_range_[1] <= 1


@pytest.mark.parametrize(
    "X",
    [
        np.where(
            RNG.random((20, 24, 24)) < 0.7, 255.0, RNG.uniform(0, 60, (20, 24, 24))
        ),
        np.where(RNG.random((20, 24, 24)) < 0.9995, 3.0, 200.0),
        np.where(
            RNG.random((20, 24, 24)) < 0.9, -1.0, RNG.uniform(-1, 1, (20, 24, 24))
        ),
        np.where(RNG.random((20, 24, 24)) < 0.3, -1.0, RNG.uniform(0, 1, (20, 24, 24))),
    ],
    ids=["ink on white", "stars", "mostly black", "a black border"],
)
def test_usual_ranges_stay_what_they_are(X):
    with warnings.catch_warnings():
        warnings.simplefilter("error", PixelRangeWarning)
        byol = quick(max_epochs=0).fit(X)
    assert byol.pixel_range_ in {(0.0, 255.0), (-1.0, 1.0)}


@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_black_at_the_end_of_a_known_range_is_no_mark(dtype):
    times = 257 if dtype == np.uint16 else 1
    X = RNG.integers(160, 240, (20, 24, 24)).astype(dtype) * dtype(times)
    X[:, :8] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", PixelRangeWarning)
        assert quick(max_epochs=0).fit(X).pixel_range_ in {(0, 255), (0, 65535)}


@pytest.mark.parametrize("n_odd", [1, 25])
@pytest.mark.parametrize("mark", [-3.4028235e38, 3.4028235e38])
def test_marks_that_are_as_large_as_can_be_are_named(mark, n_odd, tmp_path):
    X = RNG.normal(500, 90, (20, 24, 24)).astype(np.float32)
    X[0].flat[:n_odd] = mark
    for index, image in enumerate(X):
        np.save(tmp_path / f"{index:02}.npy", image)
    for given in (X, tmp_path):
        with pytest.warns(PixelRangeWarning, match=r"holds the value -?3\.40282e\+38"):
            byol = quick().fit(given)
        assert byol.pixel_range_[1] - byol.pixel_range_[0] < 1000
        assert np.isfinite(byol.transform(X)).all()


def test_warnings_of_transform_point_to_the_line_that_called_it(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((8, 99)))
    np.save(tmp_path / "b.npy", np.ones((8, 99)))
    with pytest.warns(ImagesWarning) as told:
        quick(image_shape=(8, 8), max_epochs=0).fit(tmp_path).transform(tmp_path)
    assert {one.filename for one in told} == {__file__}
