"""Examples of Datasets made for other purposes: read where one image is in them."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sklearn_byol import UnreadableImagesError
from tests.conftest import quick

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
COLOUR = Image.new("RGB", (8, 8))


def picture(index):
    return Image.fromarray(IMAGES[index])


def encoded(index):
    file = io.BytesIO()
    picture(index).save(file, "PNG")
    return file.getvalue()


class Torch(torch.utils.data.Dataset):
    """A Dataset of torch, of what a function makes of an index."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if not 0 <= index < len(IMAGES):
            raise IndexError(index)
        return self.make(index)


class Alike:
    """What can be indexed as a Dataset, and is none."""

    __init__, __len__, __getitem__ = Torch.__init__, Torch.__len__, Torch.__getitem__


HELD = {
    "image": picture,
    "array": lambda i: IMAGES[i],
    "(image, label)": lambda i: (picture(i), 1),
    "(image, label, name)": lambda i: (IMAGES[i], 1, "a name"),
    "(index, image)": lambda i: (i, picture(i)),
    "(name, image)": lambda i: ("a name", IMAGES[i]),
    "[image, tensor of a label]": lambda i: [picture(i), torch.tensor([1.0, 0])],
    "a dict": lambda i: {"image": picture(i), "label": 1},
    "image and mask": lambda i: {"mask": COLOUR, "image": picture(i)},
    "pixel_values": lambda i: {"mask": COLOUR, "pixel_values": IMAGES[i]},
    "any name": lambda i: {"name": "a", "tile": picture(i)},
    "(image, boxes)": lambda i: (IMAGES[i], np.zeros((3, 4))),
    "bytes": encoded,
    "bytes without a path": lambda i: {"image": {"bytes": encoded(i)}},
    "bytearray": lambda i: bytearray(encoded(i)),
    "memoryview": lambda i: (memoryview(encoded(i)), 1),
    "BytesIO": lambda i: io.BytesIO(encoded(i)),
    "bytes of Hugging Face": lambda i: {"bytes": encoded(i), "path": None},
    "an image column": lambda i: {"image": {"bytes": encoded(i), "path": "a.png"}},
    "(one image in a list, label)": lambda i: ([picture(i)], 0),
}


@pytest.mark.parametrize("kind", [Torch, Alike])
@pytest.mark.parametrize("make", HELD.values(), ids=HELD)
def test_the_only_image_of_an_example_is_read(make, kind):
    byol = quick().fit(kind(make))
    np.testing.assert_array_equal(byol.transform(IMAGES), byol.transform(kind(make)))
    assert byol.image_shape_ == (1, 8, 8)


@pytest.mark.parametrize(
    "make", [lambda it, i: (i, it), lambda it, i: [i, it], lambda it, i: (it, i)]
)
def test_the_only_path_of_an_example_is_read(make, tmp_path):
    for index in range(len(IMAGES)):
        picture(index).save(tmp_path / f"{index}.png")
    X = Torch(lambda i: make(str(tmp_path / f"{i}.png"), i))
    byol = quick().fit(X)
    np.testing.assert_array_equal(byol.transform(IMAGES), byol.transform(X))


REFUSED = {
    "two views": (
        lambda i: (picture(i), picture(i)),
        r"2 images: \[0\] L 8x8, \[1\] L",
    ),
    "views, label": (lambda i: ((IMAGES[i], IMAGES[i]), 0), r"2 images: \[0\] 8x8"),
    "image, mask": (lambda i: (COLOUR, IMAGES[i]), r"\[0\] RGB 8x8, \[1\] 8x8"),
    "two of a dict": (
        lambda i: {"depth": picture(i), "rgb": COLOUR},
        r"2 images: 'depth' L 8x8, 'rgb' RGB 8x8; pass a Dataset that",
    ),
    "lists of Hugging Face": (
        lambda i: {"image": IMAGES[i].tolist()},
        r"'image': list\); of Hugging Face's pass dataset\.with_format",
    ),
    "a column of them": (
        lambda i: IMAGES[i].tolist(),
        r"a list of numbers, no array; of Hugging Face's pass",
    ),
    "dict without": (lambda i: {"label": 1}, r"a dict without an image \('label': int"),
    "batch of one": (lambda i: IMAGES[i][None, None], r"\(1, 1, 8, 8\), of a batch"),
    "tensor batch": (lambda i: torch.zeros(4, 3, 8, 8), r"\(4, 3, 8, 8\), of a batch"),
}


@pytest.mark.parametrize("kind", [Torch, Alike])
@pytest.mark.parametrize(("make", "told"), REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(make, told, kind):
    with pytest.raises(UnreadableImagesError, match=told) as caught:
        quick().fit(kind(make))
    assert "on_error" not in str(caught.value)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
@pytest.mark.parametrize("make", [picture, lambda i: IMAGES[i], encoded])
def test_missing_items_are_named_or_skipped(make, missing):
    X = [make(index) for index in range(len(IMAGES))]
    X[2] = missing
    for given in (X, Torch(lambda i: X[i])):
        with pytest.raises(UnreadableImagesError, match=r"1 of 6 .* X\[2\] \(it is "):
            quick().fit(given)
        byol = quick(on_error="skip").fit(given)
        assert byol.skipped_ == ["X[2]"]
        assert np.isnan(byol.transform(given)).all(axis=1).tolist() == [
            index == 2 for index in range(len(IMAGES))
        ]


def test_a_missing_path_of_a_column_is_named_or_skipped(tmp_path):
    for index in range(4):
        picture(index).save(tmp_path / f"{index}.png")
    paths = [str(tmp_path / f"{index}.png") for index in range(4)]
    for missing in (None, np.nan, pd.NA):
        column = pd.Series([*paths[:2], missing, *paths[2:]], dtype="object")
        with pytest.raises(UnreadableImagesError, match=r"X\[2\] \(it is "):
            quick().fit(column)
        byol = quick(on_error="skip").fit(column)
        assert byol.files_ == paths
        assert byol.skipped_ == ["X[2]"]
