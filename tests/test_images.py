import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from sklearn_byol.exceptions import SmallImageWarning
from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._containers import channel_statistics
from sklearn_byol.images._in_memory import Images
from sklearn_byol.images._layout import Layout, fold, layout_of
from sklearn_byol.images._learned_range import pixel_range
from sklearn_byol.images._pixel_range import Fitted, check_pixel_range


def layout(shape, image_shape=None):
    return layout_of(np.zeros((2, *shape)), image_shape)


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((64,), None, Layout(1, 8, 8, False)),
        ((48,), (4, 12), Layout(1, 4, 12, False)),
        ((192,), (8, 8, 3), Layout(3, 8, 8, True)),
        ((192,), (3, 8, 8), Layout(3, 8, 8, False)),
        ((9, 7), None, Layout(1, 9, 7, False)),
        ((9, 3), (9, 3), Layout(1, 9, 3, False)),
        ((9, 7), (9, 7, 1), Layout(1, 9, 7, False)),
        ((9, 7, 3), None, Layout(3, 9, 7, True)),
        ((4, 9, 7), None, Layout(4, 9, 7, False)),
        ((12, 9, 9), None, Layout(12, 9, 9, False)),
        ((9, 9, 12), None, Layout(12, 9, 9, True)),
        ((3, 9, 3), (3, 9), Layout(3, 3, 9, True)),
        ((3, 9, 3), (9, 3), Layout(3, 9, 3, False)),
        ((9, 9, 3), (9, 9, 3), Layout(3, 9, 9, True)),
        ((5, 5, 5), (5, 5), Layout(5, 5, 5, True)),
        ((1, 1, 1), None, Layout(1, 1, 1, False)),
    ],
)
def test_axes_are_found(shape, image_shape, expected):
    assert layout(shape, image_shape) == expected


@pytest.mark.parametrize(
    ("n_features", "shape"), [(1, (1, 1, 1)), (4, (1, 2, 2)), (10, (1, 1, 10))]
)
def test_small_rows_fold_with_a_warning(n_features, shape):
    with pytest.warns(SmallImageWarning, match=f"{n_features} features, too few"):
        assert layout((n_features,)).shape == shape


@pytest.mark.parametrize(
    ("shape", "image_shape", "message"),
    [
        ((192,), None, r"pixel by pixel or plane by plane.*\(8, 8, 3\).*\(3, 8, 8\)"),
        ((2914,), None, "2914 features, which is not a square number"),
        ((64,), (8, 9), "needs 8 x 9 = 72 features, but X has 64"),
        ((3, 9, 3), None, r"3x9 pixels with 3 channels or 9x3 pixels with 3 channels"),
        ((9, 8, 7), None, r"9x8 pixels with 7 channels or 8x7 pixels with 9 channels"),
        ((5, 5, 5), None, r"Move them to the last axis and pass image_shape=\(5, 5\)"),
        ((64, 3), None, r"may be one image with 3 channels or 2 gray images 3 pixels"),
        ((9, 7), (7, 9), r"image_shape=\(7, 9\) does not fit X of shape \(2, 9, 7\)"),
        ((9, 9, 3), (8, 8), r"image_shape=\(8, 8\) does not fit X, whose images"),
        ((9, 9, 3), (3, 9, 9), r"image_shape=\(3, 9, 9\) does not fit X, whose"),
        ((64,), (8,), "image_shape must be"),
        ((64,), (8, 8.0), "image_shape must be"),
        ((64,), (-8, -8), "image_shape must be"),
        ((64,), 8, "image_shape must be"),
    ],
)
def test_what_does_not_fold_says_why(shape, image_shape, message):
    with pytest.raises(ValueError, match=message):
        layout(shape, image_shape)


def test_fold_reads_rows_and_both_orders_of_axes_alike(colour_images):
    last = colour_images
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    found = layout_of(last, None)
    np.testing.assert_array_equal(fold(last, found), first)
    np.testing.assert_array_equal(fold(first, found), first)
    np.testing.assert_array_equal(fold(last.reshape(12, -1), found), first)


def test_fold_does_not_copy(colour_images):
    found = layout_of(colour_images, None)
    assert np.shares_memory(fold(colour_images, found), colour_images)
    rows = colour_images.reshape(12, -1)[:, ::-1]
    assert np.shares_memory(fold(rows, found), colour_images)


def test_fold_keeps_the_order_of_fit_where_both_fit():
    X = np.arange(2 * 27).reshape(2, 3, 3, 3)
    last, first = Layout(3, 3, 3, True), Layout(3, 3, 3, False)
    np.testing.assert_array_equal(fold(X, last), X.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(fold(X, first), X)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 9, 7, 4), "X has 4 channels, but .* images with 3 channels of 9x7"),
        ((2, 1, 9, 7), "X has 1 channels, but .* images with 3 channels of 9x7"),
        ((2, 8, 7, 3), r"X has shape \(2, 8, 7, 3\), but .* 3 channels of 9x7"),
        ((2, 9, 7), r"X has shape \(2, 9, 7\), but"),
    ],
)
def test_fold_names_both_shapes_of_a_mismatch(shape, message):
    with pytest.raises(ValueError, match=message):
        fold(np.zeros(shape), Layout(3, 9, 7, True))


def range_of(values):
    return pixel_range(values.reshape(1, 1, 1, -1), values)


def compare(X, fitted, dtype="<f8"):
    """Compare rows of gray pixels with a range of fit."""
    fitted = Fitted(Layout(1, 1, X.shape[1], True), fitted, False, dtype)
    check_pixel_range(X[:, None, None], fitted)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.9], (0, 1)),
        ([-1.0, 0.5], (-1, 1)),
        ([0, 200], (0, 255)),
        ([0, 16], (0, 16)),
        ([0, 40_000], (0, 65535)),
        ([-3.0, 2.0], (-3, 2)),
        ([5.0, 5.0], (5, 6)),
        ([False, True], (0, 1)),
    ],
)
def test_pixel_range_is_a_known_one_or_the_observed(values, expected):
    assert range_of(np.array(values)) == expected


def test_floats_in_0_to_1_after_0_to_255_are_an_error():
    X = np.linspace(0, 1, 128).reshape(2, 64)
    with pytest.raises(ValueError, match=r"values from 0 to 1, but .* from 0 to 255"):
        compare(X, (0.0, 255.0))


@pytest.mark.parametrize(
    ("X", "fitted"),
    [
        (np.linspace(-1, 1, 128).reshape(2, 64), (0.0, 255.0)),
        (np.full((2, 64), 200, dtype=np.uint8), (0.0, 65535.0)),
    ],
)
def test_other_scales_after_bytes_and_16_bits_are_errors(X, fitted):
    with pytest.raises(ValueError, match=r"Scale X as in fit"):
        compare(X, fitted)


def test_dark_bytes_are_bytes():
    assert range_of(np.array([0, 49], dtype=np.uint8)) == (0, 255)
    assert range_of(np.array([0, 16], dtype=np.uint8)) == (0, 16)


def test_one_colour_image_is_not_taken_for_gray_ones():
    message = "one image with 3 channels or 3 gray images"
    with pytest.raises(ValueError, match=message):
        layout_of(np.zeros((3, 16, 16)), None)
    assert layout_of(np.zeros((3, 16, 16)), (16, 16)).n_channels == 1


def test_0_to_255_after_floats_in_0_to_1_is_an_error():
    with pytest.raises(ValueError, match=r"values from 0 to 255, but .* from 0 to 1"):
        compare(np.array([[0, 255]]), (0.0, 1.0))


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((1, 64)),  # a black image
        np.ones((1, 64), dtype=np.uint8),  # a dark image
        np.full((1, 4), 0.5),  # a row of a table
        np.full((1, 64), 300.0),  # a little beyond
    ],
)
def test_images_that_are_only_dark_or_bright_are_no_error(X):
    compare(X, (0.0, 255.0))


def test_images_come_out_between_0_and_1_without_touching_the_array():
    X = np.array([[[[0.0, 5.0]]], [[[10.0, 2.5]]]])
    images = Images(X, (0.0, 10.0))
    batch = images[np.array([1, 0])]
    torch.testing.assert_close(batch.flatten(), torch.tensor([1, 0.25, 0, 0.5]))
    assert batch.dtype == torch.float32
    batch.zero_()
    assert X.max() == 10


@pytest.mark.parametrize("dtype", ["u1", "u2", ">f4", "f2", "f8", "i8", "?", "g"])
def test_every_real_dtype_becomes_float32(dtype):
    X = np.eye(4).reshape(1, 1, 4, 4).astype(dtype)
    torch.testing.assert_close(
        Images(X, (0.0, 1.0))[slice(0, 1)], torch.eye(4)[None, None]
    )


def test_a_float32_slice_is_a_copy():
    X = np.ones((2, 1, 2, 2), dtype=np.float32)
    Images(X, (0.0, 1.0))[slice(0, 2)].zero_()
    assert X.min() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_kept_on_a_device_are_the_same(colour_images, dtype):
    pixels = colour_images.transpose(0, 3, 1, 2).astype(dtype)
    images, kept = Images(pixels, (0.0, 255.0)), Images(pixels, (0.0, 255.0))
    kept.keep_on(torch.device("cpu"))
    for index in (np.array([3, 1, 1]), slice(2, 5)):
        torch.testing.assert_close(kept[index], images[index])
    kept[slice(0, 12)].zero_()
    assert kept[slice(0, 12)].max() == 1


def test_images_go_to_a_gpu_where_they_fit(colour_images, monkeypatch):
    for free, is_kept in [(10**9, True), (1000, False)]:
        images = Images(colour_images.transpose(0, 3, 1, 2), (0.0, 255.0))
        kept, keep_on = [], images.keep_on

        def keep_on_cpu(device, kept=kept, keep_on=keep_on):
            kept.append(device)
            keep_on(torch.device("cpu"))

        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d, f=free: (f, 2 * f))
        monkeypatch.setattr(images, "keep_on", keep_on_cpu)
        assert images.to(torch.device("cpu")) is images
        assert not kept
        assert not images.is_streamed
        assert images.to(torch.device("cuda")) is images
        assert bool(kept) == is_kept
        assert images.is_streamed != is_kept


@pytest.mark.parametrize(
    ("dtype", "n_bytes"), [(np.uint8, 1), (np.int16, 4), (np.float64, 4)]
)
def test_room_on_a_gpu_is_that_of_pixels_as_they_are_there(
    colour_images, monkeypatch, dtype, n_bytes
):
    pixels = colour_images.transpose(0, 3, 1, 2).astype(dtype)
    for beyond, is_kept in [(1, True), (0, False)]:
        images = Images(pixels, (0.0, 255.0))
        free = 2 * n_bytes * pixels.size + beyond
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda d, f=free: (f, f))
        keep_on = images.keep_on
        monkeypatch.setattr(
            images, "keep_on", lambda d, keep=keep_on: keep(torch.device("cpu"))
        )
        assert images.to(torch.device("cuda")).is_streamed != is_kept


def test_images_that_a_process_may_not_keep_are_made_ready(colour_images, monkeypatch):
    def fail(device):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    images = Images(colour_images.transpose(0, 3, 1, 2), (0.0, 255.0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**40, 2**40))
    monkeypatch.setattr(images, "keep_on", fail)
    assert images.to(torch.device("cuda")).is_streamed


def test_images_that_are_kept_are_laid_out_as_those_in_memory(colour_images):
    images = Images(colour_images.transpose(0, 3, 1, 2), (0.0, 255.0))
    in_memory = images[np.array([1, 0])]
    images.keep_on(torch.device("cpu"))
    kept = images[np.array([1, 0])]
    assert kept.stride() == in_memory.stride()
    assert torch.equal(kept, in_memory)


def test_statistics_are_those_of_scaled_images(colour_images):
    pixels = colour_images.transpose(0, 3, 1, 2)
    mean, std = channel_statistics(Images(pixels, (0.0, 255.0)))
    np.testing.assert_allclose(mean, colour_images.mean(axis=(0, 1, 2)) / 255, 1e-5)
    np.testing.assert_allclose(std, colour_images.std(axis=(0, 1, 2)) / 255, 1e-4)


def test_batches_keep_order_and_number():
    X = np.arange(600.0).reshape(600, 1, 1, 1)
    indices, batches = zip(*Images(X / 599, (0.0, 1.0)).batches(), strict=True)
    assert max(map(len, batches)) == 256
    found = torch.cat(batches).flatten() * 599
    np.testing.assert_allclose(found, np.arange(600), rtol=1e-5)
    np.testing.assert_array_equal(np.concatenate(indices), np.arange(600))


def test_large_images_come_in_small_batches():
    X = np.broadcast_to(np.float32(0), (20, 1, 1024, 1024))
    assert len(next(Images(X, (0.0, 1.0)).batches())[1]) == 4


@pytest.mark.parametrize(
    "make",
    [
        torch.from_numpy,
        lambda X: torch.from_numpy(X).requires_grad_(),
        lambda X: X.tolist(),
        lambda X: list(torch.from_numpy(X).requires_grad_()),
        list,
        np.asfortranarray,
    ],
)
def test_tensors_and_lists_are_read_like_arrays(make):
    X = np.random.default_rng(0).random((5, 4, 4))
    read = as_array(BaseEstimator(), make(X), reset=True)
    np.testing.assert_array_equal(read, X)


def test_bfloat16_tensors_are_read():
    X = torch.rand(3, 4, 4).bfloat16()
    read = as_array(BaseEstimator(), X, reset=True)
    np.testing.assert_array_equal(read, X.float().numpy())


def test_an_array_is_not_copied(colour_images):
    read = as_array(BaseEstimator(), colour_images, reset=True)
    assert np.shares_memory(read, colour_images)


@pytest.mark.parametrize(
    "X",
    [
        ["a.png", "b.png"],
        np.array(["a.png", "b.png"]),
        np.array(["a.png", "b.png"], dtype=object),
        [["a.png"], ["b.png"]],
        pd.Series(["a.png", "b.png"]),
    ],
)
def test_strings_are_no_images(X):
    with pytest.raises(ValueError, match="X holds strings where pixels"):
        as_array(BaseEstimator(), X, reset=True)


def test_five_axes_are_an_error():
    with pytest.raises(ValueError, match="X has 5 axes"):
        as_array(BaseEstimator(), np.zeros((2, 2, 2, 2, 2)), reset=True)


def test_an_axis_of_length_zero_is_an_error():
    with pytest.raises(ValueError, match=r"axis of length 0.*\(2, 8, 0\)"):
        as_array(BaseEstimator(), np.zeros((2, 8, 0)), reset=True)


def test_a_ragged_list_is_an_error():
    with pytest.raises(ValueError, match="rows or images of different sizes"):
        as_array(BaseEstimator(), [[1, 2], [3]], reset=True)
