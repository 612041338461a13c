"""Images from files, folders, PIL, ragged arrays and Datasets."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from PIL import Image
from sklearn.model_selection import cross_val_predict
from sklearn.utils.fixes import parse_version
from skorch.helper import SliceDataset
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from sklearn_byol import UnreadableImagesError
from sklearn_byol.images._datasets import as_items
from sklearn_byol.images._decode import decode
from tests.conftest import N_FILES, Pairs, pipeline, quick


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda paths: np.array(paths, dtype=object)[:, np.newaxis],
        lambda paths: [Path(path) for path in paths],
        pd.Series,
        lambda paths: pd.DataFrame({"path": paths}),
    ],
)
def test_paths_of_every_kind_are_read_as_the_array(make, paths, rows):
    byol = quick()
    np.testing.assert_array_equal(byol.fit_transform(make(paths)), rows)
    assert byol.files_ == paths
    assert byol.image_shape_ == (3, 16, 20)
    assert byol.pixel_range_ == (0.0, 255.0)
    assert byol.n_features_in_ == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda pixels: [Image.fromarray(image) for image in pixels],
        list,
        Pairs,
        lambda pixels: TensorDataset(torch.from_numpy(pixels)),
        lambda pixels: SliceDataset(Pairs(pixels), idx=0),
        lambda pixels: [Pairs(pixels)[index] for index in range(N_FILES)],
        lambda pixels: Pairs([Image.fromarray(image) for image in pixels]),
    ],
)
def test_images_and_datasets_are_read_as_the_array(make, pixels, rows):
    np.testing.assert_array_equal(quick().fit_transform(make(pixels)), rows)


def test_folder_is_walked_and_sorted(folder, paths, pixels):
    byol = quick().fit(folder)
    assert byol.files_ == sorted(paths)
    np.testing.assert_array_equal(
        byol.transform(str(folder)),
        byol.transform(pixels[[*range(0, N_FILES, 2), *range(1, N_FILES, 2)]]),
    )


@pytest.mark.parametrize("transform", [None, ToTensor()])
def test_image_folder_of_torchvision_is_a_dataset(folder, transform):
    rows = quick().fit_transform(ImageFolder(folder, transform=transform))
    expected = quick().fit_transform(folder)
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-3)


def test_arrays_give_way_to_files_after_fit(pixels, paths, rows):
    byol = quick().fit(paths)
    np.testing.assert_array_equal(byol.transform(pixels), rows)
    np.testing.assert_array_equal(byol.transform(pixels / 255.0 * 255), rows)


def test_floats_of_a_dataset_keep_their_values(pixels):
    images = (pixels / 255).astype(np.float32)
    byol = quick().fit(images)
    expected = byol.transform(images)
    np.testing.assert_array_equal(byol.transform(Pairs(images)), expected)
    np.testing.assert_allclose(byol.transform(Pairs(pixels)), expected, atol=1e-4)


def test_counts_of_a_dataset_are_counted_as_in_an_array(digits):
    X = digits[0][:20].reshape(-1, 8, 8).astype(np.uint8)
    fitted, as_dataset = quick().fit(X), Pairs(list(X))
    assert fitted.pixel_range_ == quick().fit(as_dataset).pixel_range_ == (0, 16)
    np.testing.assert_array_equal(fitted.transform(as_dataset), fitted.transform(X))
    with pytest.raises(ValueError, match=r"from 0 to 160, .* from 0 to 16\."):
        fitted.fit(X, X_unlabeled=Pairs(list(X * 10)))


@pytest.mark.parametrize("high", [1, 3])
def test_masks_are_counted_in_transform_as_in_fit(high):
    masks = np.random.default_rng(0).integers(0, high + 1, (6, 8, 8), dtype=np.uint8)
    as_dataset = Pairs(list(masks))
    for byol in (quick().fit(masks), quick().fit(as_dataset)):
        assert byol.pixel_range_ == (0, high)
        np.testing.assert_array_equal(byol.transform(as_dataset), byol.transform(masks))


def test_floats_in_unit_range_give_way_to_bytes(pixels):
    byol = quick().fit(pixels / 255)
    np.testing.assert_allclose(
        byol.transform(Pairs(pixels)), byol.transform(pixels / 255), atol=1e-5
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda pixels, paths: np.array(paths),
        lambda pixels, paths: pd.Series([Path(path) for path in paths]),
        lambda pixels, paths: [Image.fromarray(image) for image in pixels],
        lambda pixels, paths: Pairs(pixels),
        lambda pixels, paths: TensorDataset(torch.from_numpy(pixels)),
        lambda pixels, paths: [(image, 0, "name") for image in pixels],
        lambda pixels, paths: SliceDataset(Pairs(pixels)),
    ],
)
def test_every_kind_goes_through_cross_validation(make, pixels, paths):
    y = np.arange(N_FILES) % 2
    expected, found = (
        cross_val_predict(pipeline(), X, y, cv=2, method="decision_function")
        for X in (pixels, make(pixels, paths))
    )
    np.testing.assert_array_equal(found, expected)


def test_arrays_that_happen_to_be_of_one_size_are_resized_as_the_others(pixels):
    ragged = [image[: 12 + index % 3] for index, image in enumerate(pixels)]
    byol = quick(image_shape=(12, 12)).fit(ragged)
    rows = byol.transform(ragged)
    for some in (ragged[::3], pd.Series(ragged[::3])):
        found = byol.transform(some)  # other batches may be rounded otherwise
        np.testing.assert_allclose(found, rows[::3], rtol=1e-4, atol=1e-5)
    same = quick(image_shape=(12, 12)).fit(list(pixels))
    assert same.image_shape_ == (3, 12, 12)
    assert quick().fit(pd.Series(list(pixels))).image_shape_ == (3, 16, 20)


def test_sizes_that_differ_need_an_image_shape():
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 256, (side, 30, 3), dtype=np.uint8) for side in (20, 24, 28)]
    with pytest.raises(UnreadableImagesError, match=r"X\[1\] .it is 24x30 pix"):
        quick().fit(X)
    byol = quick(image_shape=(16, 16)).fit(X)
    assert byol.image_shape_ == (3, 16, 16)
    assert byol.transform(X).shape[0] == 3


def test_shorter_side_is_resized_and_the_middle_cut_out():
    wide = np.zeros((8, 32, 3), dtype=np.uint8)
    wide[:, 12:20] = 200
    assert (decode(Image.fromarray(wide), (3, 8, 8)).pixels == 200).all()
    assert (decode(wide, (3, 8, 8)).pixels == 200).all()
    tall = wide.transpose(1, 0, 2)
    assert (decode(tall, (3, 8, 8)).pixels == 200).all()


def test_downsizing_is_antialiased():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 200
    for image in (Image.fromarray(stripes), stripes, stripes.astype(float)):
        assert np.ptp(decode(image, (1, 8, 8)).pixels[:, 2:6, 2:6].astype(float)) < 3


def test_floats_are_resized_within_their_range():
    image = np.zeros((16, 16), dtype=np.float32)
    image[:, 8:] = 1
    small = decode(image, (1, 8, 8)).pixels
    assert small.dtype == np.float32
    assert small.min() >= 0
    assert small.max() <= 1


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    turned = decode(tmp_path / "turned.png", None).pixels[0]
    np.testing.assert_array_equal(turned, np.rot90(np.asarray(image), -1))


def picture(mode):
    """One pixel of a known colour in some mode, and what it becomes as RGB."""
    if mode == "P":
        image = Image.new("RGB", (1, 1), (200, 100, 50)).quantize(4)
        return image, (200, 100, 50)
    if mode == "P, transparent":
        image = Image.new("RGB", (1, 1), (200, 100, 50)).quantize(4)
        image.info["transparency"] = image.getpixel((0, 0))
        return image, (255, 255, 255)
    if mode == "I;16":
        return Image.fromarray(np.full((1, 1), 23130, np.uint16)), (23130,) * 3
    modes = {
        "1": (1, (255,) * 3),
        "L": (7, (7,) * 3),
        "LA": ((7, 0), (255,) * 3),
        "RGBA": ((200, 100, 50, 0), (255,) * 3),
        "CMYK": ((0, 255, 255, 0), (255, 0, 0)),
        "I": (100_000, (100_000,) * 3),
        "F": (-0.5, (-0.5,) * 3),
    }
    value, colour = modes[mode]
    return Image.new(mode, (1, 1), value), colour


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "P, transparent", "RGBA", "CMYK", "I", "I;16", "F"],
)
def test_every_mode_becomes_rgb(mode):
    image, colour = picture(mode)
    got = decode(image, (3, 1, 1)).pixels.ravel()
    np.testing.assert_allclose(got, colour, atol=1)


def test_alpha_is_kept_where_four_channels_are_asked_for():
    image = Image.new("RGBA", (1, 1), (200, 100, 50, 7))
    assert decode(image, (4, 1, 1)).pixels.ravel().tolist() == [200, 100, 50, 7]


def test_images_say_how_many_channels(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        gray = rng.integers(0, 256, (9, 9), dtype=np.uint8)
        Image.fromarray(gray).save(tmp_path / f"{index}.png")
    assert quick().fit(tmp_path).image_shape_ == (1, 9, 9)
    assert quick(image_shape=(8, 8)).fit(tmp_path).image_shape_ == (1, 8, 8)
    assert quick(image_shape=(8, 8, 3)).fit(tmp_path).image_shape_ == (3, 8, 8)
    assert quick(image_shape=(3, 8, 8)).fit(tmp_path).image_shape_ == (3, 8, 8)
    with pytest.raises(ValueError, match="it has 1 channel where 5 are expected"):
        quick(image_shape=(8, 8, 5)).fit(tmp_path)


def test_transform_decodes_a_few_images_at_a_time(pixels):
    byol = quick().fit(pixels)
    n_images, asked, done = 1500, [], []

    class Endless(Dataset):
        def __len__(self):
            return n_images

        def __getitem__(self, index):
            asked.append(index)
            return pixels[index % N_FILES]

    byol.encoder_.register_forward_hook(
        lambda module, inputs, output: done.append((len(asked), len(output)))
    )
    rows = byol.transform(Endless())
    np.testing.assert_allclose(rows[:N_FILES], rows[-N_FILES:], rtol=1e-4, atol=1e-5)
    n_represented = np.cumsum([n for _, n in done])
    n_ahead = [n_asked - n for (n_asked, _), n in zip(done, n_represented, strict=True)]
    assert n_represented[-1] == n_images
    assert max(n_ahead) <= 1  # the first image is looked at once more


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="scikit-learn keeps the index of data frames only",
)
def test_pandas_output_keeps_the_index_of_a_series(paths):
    series = pd.Series(paths, index=[f"row {index}" for index in range(N_FILES)])
    frame = quick().set_output(transform="pandas").fit_transform(series)
    assert frame.index.tolist() == series.index.tolist()
    assert frame.columns[0] == "byoltransformer0"


def test_numbers_are_no_items():
    assert as_items([[1.0, 2.0]]) is None
    assert as_items(np.zeros((2, 64))) is None
    assert as_items(pd.DataFrame({"a": [1.0], "b": [2.0]})) is None
    assert as_items([np.zeros((8, 8))] * 2) is None
    assert as_items([]) is None
