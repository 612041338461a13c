"""One image where several are expected is an error that says how it is passed."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from sklearn_byol.images._layout import Layout
from tests.conftest import Pairs, tiny

pytestmark = pytest.mark.usefixtures("limited")

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (6, 16, 20, 3), dtype=np.uint8)
GRAY = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
ROWS = GRAY.reshape(6, -1)
FRAME = pd.DataFrame(ROWS, columns=[f"pixel_{place}" for place in range(784)])
ONE = "X is one image"


def of_colour():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.fixture(scope="module")
def colour():
    return tiny(encoder=of_colour, max_epochs=0).fit(COLOUR)


@pytest.fixture(scope="module")
def gray():
    return tiny(max_epochs=0).fit(GRAY)


@pytest.fixture(scope="module")
def frame():
    return tiny(max_epochs=0).fit(FRAME)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The path of one picture."""
    path = tmp_path_factory.mktemp("pictures") / "one.png"
    Image.fromarray(COLOUR[0]).save(path)
    return path


def planes(image):
    return np.ascontiguousarray(image.transpose(2, 0, 1))


IN_COLOUR = {
    "channels_last": lambda: COLOUR[0],
    "channels_first": lambda: planes(COLOUR[0]),
    "tensor": lambda: torch.from_numpy(planes(COLOUR[0])),
    "row": COLOUR[0].ravel,
    "row_of_a_tensor": lambda: torch.from_numpy(COLOUR[0].ravel()),
}
IN_GRAY = {
    "pixels": lambda: GRAY[0],
    "tensor": lambda: torch.from_numpy(GRAY[0]),
    "with_a_channel": lambda: GRAY[0, :, :, None],
    "row": lambda: ROWS[0],
}


@pytest.mark.parametrize("name", IN_COLOUR)
def test_one_image_in_colour_is_passed_by_an_axis_more(name, colour):
    X = IN_COLOUR[name]()
    for method in (colour.transform, colour.read_images, colour.sample_views):
        with pytest.raises(ValueError, match=rf"^{ONE}.*: pass X\[None\]"):
            method(X)
    np.testing.assert_array_equal(
        colour.transform(X[None]), colour.transform(COLOUR[:1])
    )


@pytest.mark.parametrize("name", IN_GRAY)
def test_one_gray_image_is_passed_by_an_axis_more(name, gray):
    X = IN_GRAY[name]()
    with pytest.raises(ValueError, match=rf"^{ONE}.*: pass X\[None\]"):
        gray.transform(X)
    np.testing.assert_array_equal(gray.transform(X[None]), gray.transform(GRAY[:1]))


@pytest.mark.parametrize("name", ["channels_last", "row"])
def test_one_image_as_a_list_is_passed_in_a_list(name, colour):
    X = IN_COLOUR[name]().tolist()
    with pytest.raises(ValueError, match=rf"^{ONE}.*: pass \[X\]"):
        colour.transform(X)
    np.testing.assert_array_equal(colour.transform([X]), colour.transform(COLOUR[:1]))


def test_the_rows_of_a_gray_image_in_a_list_are_passed_in_a_list(gray):
    with pytest.raises(ValueError, match=rf"^{ONE}.*: pass \[X\]"):
        gray.transform(list(GRAY[0]))


def test_one_image_is_named_by_transformers_of_rows():
    byol = tiny(max_epochs=0).fit(ROWS)
    with pytest.raises(ValueError, match=rf"^{ONE}, of shape \(28, 28\), and no batch"):
        byol.transform(GRAY[0])


def test_one_row_keeps_the_words_of_scikit_learn(gray):
    with pytest.raises(ValueError, match="Reshape your data"):
        gray.transform(ROWS[0])


def test_one_row_of_a_frame_is_passed_with_its_names(frame):
    X = FRAME.iloc[0]
    with pytest.raises(ValueError, match=rf"^{ONE}.*: pass X\.to_frame\(\)\.T"):
        frame.transform(X)
    np.testing.assert_array_equal(
        frame.transform(X.to_frame().T), frame.transform(FRAME[:1])
    )


def test_one_image_as_a_frame_is_passed_as_an_array(gray):
    with pytest.raises(ValueError, match=rf"^{ONE}.*: pass X\.to_numpy\(\)\[None\]"):
        gray.transform(pd.DataFrame(GRAY[0]))


def test_one_image_in_a_buffer_is_passed_as_an_array(gray):
    for buffer in (GRAY[0], np.asfortranarray(GRAY[0])):
        with pytest.raises(ValueError, match=rf"^{ONE}.*: pass np\.asarray\(X\)\[Non"):
            gray.transform(memoryview(buffer))


def test_as_many_gray_images_as_channels_are_not_taken_for_one(colour):
    with pytest.raises(ValueError, match=r"^X has shape \(3, 16, 20\).*again\.$"):
        colour.transform(list(planes(COLOUR[0])))


def test_one_image_of_another_size_is_passed_in_a_list(colour):
    X = np.repeat(COLOUR[0], 2, axis=1)
    with pytest.raises(ValueError, match=r"If X is one image, pass \[X\], which is re"):
        colour.transform(X)
    assert colour.transform([X]).shape == (1, 4)


def test_several_images_of_another_size_are_not_called_one(colour):
    with pytest.raises(ValueError, match=r"or fit again\.$"):
        colour.transform(COLOUR[:, :9])


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout(1, 28, 28, False), (1, 28, 28)),
        (Layout(1, 28, 28, False), (28, 784)),
        (Layout(3, 8, 8, True), (3, 8, 8, 3)),
        (Layout(1, 1, 9, False), (1, 9)),
        (Layout(1, 8, 1, False), (8, 8, 1)),
        (Layout(1, 1, 1, False), (1, 1)),
    ],
)
def test_what_fits_as_several_images_is_not_one(layout, shape):
    assert not layout.is_one(shape)


# What is no array, which is one image in fit as well


def raw(file):
    return file.read_bytes()


ALONE = {
    "picture": lambda file: Image.fromarray(COLOUR[0]),
    "bytes": raw,
    "bytearray": lambda file: bytearray(raw(file)),
    "memoryview": lambda file: memoryview(raw(file)),
    "buffer": lambda file: io.BytesIO(raw(file)),
    "encoded": lambda file: {"bytes": raw(file), "path": None},
}
CALLS = {
    "transform": lambda fitted, X: fitted.transform(X),
    "fit": lambda fitted, X: tiny(encoder=of_colour).fit(X),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ALONE)
def test_one_image_that_is_no_array_is_passed_in_a_list(name, call, colour, file):
    X = ALONE[name](file)
    with pytest.raises(TypeError, match=rf"^{ONE}.*: pass \[X\], or several in one"):
        CALLS[call](colour, X)


@pytest.mark.parametrize("name", ALONE)
def test_what_was_refused_alone_is_read_from_a_list(name, colour, file):
    rows = colour.transform([ALONE[name](file)])
    np.testing.assert_array_equal(rows, colour.transform(COLOUR[:1]))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_the_path_of_one_image_is_passed_in_a_list(kind, call, colour, file):
    with pytest.raises(ValueError, match=r"one\.png', .* but one image: pass \[X\], a"):
        CALLS[call](colour, kind(file))


def test_the_path_of_another_file_may_be_an_image(colour, tmp_path):
    (tmp_path / "upload").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one file: pass \[X\] if it is an image, a"):
        colour.transform(tmp_path / "upload")


def test_the_path_of_an_array_may_hold_several_images(colour, tmp_path):
    np.save(tmp_path / "images.npy", COLOUR)
    with pytest.raises(ValueError, match=r"np\.load\(X\) if it is several"):
        colour.transform(tmp_path / "images.npy")


def test_an_open_file_is_read_by_the_caller(colour, file):
    with file.open("rb") as X, pytest.raises(TypeError, match=r"pass \[X\.read\(\)\]"):
        colour.transform(X)


def test_bytes_of_no_image_are_not_called_one(colour):
    with pytest.raises(TypeError, match=r"^X is a bytes, which has no first"):
        colour.transform(b"no image")


# Examples of Datasets


@pytest.mark.parametrize(
    "make",
    [
        lambda image: (image, 1),
        lambda image: (Image.fromarray(image), "cat"),
        lambda image: (torch.from_numpy(image), torch.tensor(1)),
        lambda image: (image, np.float32(0.5)),
        lambda image: [torch.from_numpy(image), torch.tensor(1)],
        lambda image: (image, 1, {"name": "cat"}),
        lambda image: Pairs([image])[0],
    ],
)
@pytest.mark.parametrize("call", CALLS)
def test_an_image_with_its_label_is_passed_without(make, call, colour):
    X = make(COLOUR[0])
    with pytest.raises(ValueError, match=rf"^{ONE} with its label.*pass \[X\[0\]\]"):
        CALLS[call](colour, X)
    np.testing.assert_array_equal(
        colour.transform([X[0]]), colour.transform(COLOUR[:1])
    )


def test_an_image_is_found_behind_its_index(colour):
    with pytest.raises(ValueError, match=r"pass \[X\[1\]\], or the Dataset"):
        colour.transform((7, COLOUR[0]))


def test_a_path_with_its_label_is_passed_without(colour, file):
    with pytest.raises(ValueError, match=r"pass \[X\[0\]\], or the Dataset"):
        colour.transform((file, 1))


@pytest.mark.parametrize("kind", [tuple, list])
def test_images_with_their_labels_are_passed_without(kind, colour):
    X = kind([torch.from_numpy(COLOUR), torch.arange(6)])
    with pytest.raises(ValueError, match=r"as of images and their labels: pass X\[0\]"):
        colour.transform(X)


@pytest.mark.parametrize("label", ["cat", 0.5])
def test_a_list_of_an_image_and_another_object_is_no_example(label, colour):
    with pytest.raises(ValueError, match=r"^X mixes PIL images"):
        colour.transform([Image.fromarray(COLOUR[0]), label])


@pytest.mark.parametrize("label", [None, np.nan])
def test_what_is_missing_is_no_label(label, file):
    byol = tiny(encoder=of_colour, max_epochs=0, on_error="skip").fit(COLOUR)
    assert byol.transform((str(file), label)).shape == (2, 4)


@pytest.mark.parametrize("n_images", [2, 3])
def test_a_tuple_of_images_is_several_images(n_images, colour):
    X = tuple(Image.fromarray(image) for image in COLOUR[:n_images])
    assert len(colour.transform(X)) == n_images


def test_an_example_that_is_a_dict_is_passed_as_its_image(colour):
    X = {"image": Image.fromarray(COLOUR[0]), "label": 1}
    with pytest.raises(TypeError, match=r"example of a Dataset: pass \[X\['image'\]\]"):
        colour.transform(X)


def test_columns_of_images_may_be_several(colour):
    with pytest.raises(TypeError, match=r"X\['image'\] if it is several"):
        colour.transform({"image": list(COLOUR), "label": [1] * 6})
