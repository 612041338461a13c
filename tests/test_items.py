"""Images from files, folders, PIL, ragged arrays and Datasets."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from PIL import Image
from skorch.helper import SliceDataset, SliceDict
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from sklearn_byol import UnreadableImagesError
from sklearn_byol.images import _loading, as_items
from sklearn_byol.images._decoding import decode
from tests.conftest import quick

N = 10


@pytest.fixture(scope="module")
def pixels():
    """Ten RGB images of 16x20 pixels."""
    return np.random.default_rng(0).integers(0, 256, (N, 16, 20, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pixels):
    """The same images as PNG files in two classes' folders, and a file that is none."""
    place = tmp_path_factory.mktemp("images")
    for index, image in enumerate(pixels):
        path = place / "ab"[index % 2] / f"{index}.PNG"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    (place / "a" / "notes.txt").write_text("no image")
    (place / ".hidden.png").write_text("no image")
    return place


@pytest.fixture(scope="module")
def paths(folder):
    return [str(folder / "ab"[index % 2] / f"{index}.PNG") for index in range(N)]


@pytest.fixture(scope="module")
def rows(pixels):
    """What a transformer that is fitted on the array makes of it."""
    return quick().fit_transform(pixels)


class Pairs(Dataset):
    """Images with labels."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 2


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
        pl.Series,
        lambda paths: pl.DataFrame({"path": paths}),
    ],
)
def test_paths_of_every_kind_are_read_as_the_array(make, paths, rows):
    byol = quick()
    np.testing.assert_array_equal(byol.fit_transform(make(paths)), rows)
    assert byol.files_ == paths
    assert byol.image_shape_ == (3, 16, 20)
    assert byol.pixel_range_ == (0.0, 255.0)
    assert byol.n_features_in_ == 960


@pytest.mark.parametrize(
    "make",
    [
        lambda pixels: [Image.fromarray(image) for image in pixels],
        list,
        Pairs,
        lambda pixels: TensorDataset(torch.from_numpy(pixels)),
        lambda pixels: SliceDataset(Pairs(pixels), idx=0),
        lambda pixels: [Pairs(pixels)[index] for index in range(N)],
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
        byol.transform(pixels[[*range(0, N, 2), *range(1, N, 2)]]),
    )


@pytest.mark.parametrize("transform", [None, ToTensor()])
def test_image_folder_of_torchvision_is_a_dataset(folder, transform):
    rows = quick().fit_transform(ImageFolder(folder, transform=transform))
    expected = quick().fit_transform(folder)
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-3)


def test_hugging_face_datasets_are_read(pixels, rows):
    datasets = pytest.importorskip("datasets")
    pictures = [Image.fromarray(image) for image in pixels]
    X = datasets.Dataset.from_dict(
        {"label": list(range(N)), "image": pictures},
        features=datasets.Features(
            {"label": datasets.Value("int64"), "image": datasets.Image()}
        ),
    )
    np.testing.assert_array_equal(quick().fit_transform(X), rows)


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
    with pytest.raises(ValueError, match=r"from 0 to 150, .* from 0 to 16\."):
        fitted.fit(X, X_unlabeled=Pairs(list(X * 10)))


def test_sizes_that_differ_need_an_image_shape():
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 256, (side, 30, 3), dtype=np.uint8) for side in (20, 24, 28)]
    with pytest.raises(UnreadableImagesError, match=r"X\[1\] .its size is 3x24x30"):
        quick().fit(X)
    byol = quick(image_shape=(16, 16)).fit(X)
    assert byol.image_shape_ == (3, 16, 16)
    assert byol.transform(X).shape[0] == 3


def test_shorter_side_is_resized_and_the_middle_cut_out():
    wide = np.zeros((8, 32, 3), dtype=np.uint8)
    wide[:, 12:20] = 200
    assert (decode(Image.fromarray(wide), (3, 8, 8)) == 200).all()
    assert (decode(wide, (3, 8, 8)) == 200).all()
    tall = wide.transpose(1, 0, 2)
    assert (decode(tall, (3, 8, 8)) == 200).all()


def test_downsizing_is_antialiased():
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 200
    for image in (Image.fromarray(stripes), stripes, stripes.astype(float)):
        assert np.ptp(decode(image, (1, 8, 8))[:, 2:6, 2:6].astype(float)) < 3


def test_floats_are_resized_within_their_range():
    image = np.zeros((16, 16), dtype=np.float32)
    image[:, 8:] = 1
    small = decode(image, (1, 8, 8))
    assert small.dtype == np.float32
    assert small.min() >= 0
    assert small.max() <= 1


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    turned = decode(tmp_path / "turned.png", None)[0]
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
        return Image.fromarray(np.full((1, 1), 257 * 90, np.uint16)), (90,) * 3
    modes = {
        "1": (1, (255,) * 3),
        "L": (7, (7,) * 3),
        "LA": ((7, 0), (255,) * 3),
        "RGBA": ((200, 100, 50, 0), (255,) * 3),
        "CMYK": ((0, 255, 255, 0), (255, 0, 0)),
        "I": (257 * 90, (90,) * 3),
        "F": (0.5, (128,) * 3),
    }
    value, colour = modes[mode]
    return Image.new(mode, (1, 1), value), colour


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "P, transparent", "RGBA", "CMYK", "I", "I;16", "F"],
)
def test_every_mode_becomes_rgb(mode):
    image, colour = picture(mode)
    got = decode(image, (3, 1, 1)).ravel()
    np.testing.assert_allclose(got, colour, atol=1)


def test_alpha_is_kept_where_four_channels_are_asked_for():
    image = Image.new("RGBA", (1, 1), (200, 100, 50, 7))
    assert decode(image, (4, 1, 1)).ravel().tolist() == [200, 100, 50, 7]


def test_first_image_says_how_many_channels(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(4):
        gray = rng.integers(0, 256, (9, 9), dtype=np.uint8)
        Image.fromarray(gray).save(tmp_path / f"{index}.png")
    assert quick().fit(tmp_path).image_shape_ == (1, 9, 9)
    assert quick(image_shape=(8, 8)).fit(tmp_path).image_shape_ == (1, 8, 8)
    assert quick(image_shape=(8, 8, 3)).fit(tmp_path).image_shape_ == (3, 8, 8)
    assert quick(image_shape=(3, 8, 8)).fit(tmp_path).image_shape_ == (3, 8, 8)
    with pytest.raises(ValueError, match="no 1, 3 or 4 channels"):
        quick(image_shape=(8, 8, 5)).fit(tmp_path)


@pytest.fixture
def broken(tmp_path, pixels):
    """Six good files, and one of each kind that cannot be read."""
    for index in range(6):
        Image.fromarray(pixels[index]).save(tmp_path / f"good{index}.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    whole = (tmp_path / "good0.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    names = ["good0", "empty", "good1", "text", "truncated", "missing", "good2"]
    names += ["good3", "good4", "good5"]
    return [str(tmp_path / f"{name}.png") for name in names]


def test_files_that_cannot_be_read_are_one_error(broken):
    byol = quick()
    with pytest.raises(UnreadableImagesError, match="4 of 10 images") as caught:
        byol.fit(broken)
    for name in ("empty", "text", "truncated", "missing"):
        assert f"{name}.png (" in str(caught.value)
    assert not hasattr(byol, "encoder_")
    byol.fit(broken[6:])
    with pytest.raises(UnreadableImagesError, match="4 of 10 images"):
        byol.transform(broken)


def test_errors_name_the_first_few_only(tmp_path):
    with pytest.raises(UnreadableImagesError, match=r"20 of 20.*and 15 more"):
        quick().fit([str(tmp_path / f"{index}.png") for index in range(20)])


def test_decompression_bombs_are_not_decoded(paths, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImagesError, match="decompression bomb"):
        quick().fit(paths)


def test_skipped_images_are_left_out_of_fit_and_have_a_row_of_nan(broken):
    good = [0, 2, 6, 7, 8, 9]
    byol = quick(on_error="skip").fit(broken)
    assert byol.files_ == [broken[index] for index in good]
    assert byol.skipped_ == [broken[index] for index in (1, 3, 4, 5)]
    rows = byol.transform(broken)
    assert np.isnan(rows[[1, 3, 4, 5]]).all()
    chosen = quick().fit([broken[index] for index in good])
    np.testing.assert_array_equal(
        rows[good], chosen.transform([broken[index] for index in good])
    )


def test_transform_of_nothing_but_skipped_images_is_nan(broken):
    byol = quick(on_error="skip").fit(broken)
    assert np.isnan(byol.transform(broken[3:6])).all()


def test_floats_on_another_scale_than_in_fit_are_an_error(pixels, paths):
    byol = quick().fit(paths)
    with pytest.raises(ValueError, match="Scale X as in fit"):
        byol.transform(Pairs((pixels / 255).astype(np.float32)))


def test_nothing_but_skipped_images_is_an_error(tmp_path):
    with pytest.raises(UnreadableImagesError):
        quick(on_error="skip").fit([str(tmp_path / "a.png"), str(tmp_path / "b.png")])


def test_one_image_left_is_an_error(broken):
    with pytest.raises(ValueError, match=r"1 sample\(s\)"):
        quick(on_error="skip").fit(broken[:2])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(np.zeros((3, 8, 8)))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (lambda folder: folder / "nowhere", "which is no folder"),
        (lambda folder: str(folder / "a" / "0.PNG"), "which is no folder"),
        (lambda folder: folder.parent / "none", "which is no folder"),
        (lambda folder: [str(folder), np.zeros((8, 8))], "mixes arrays, paths"),
        (lambda folder: [Image.new("L", (8, 8)), 3.0], "mixes PIL images, other"),
        (lambda folder: pd.DataFrame([["a.png", "b.png"]] * 3), "2 columns of strings"),
        (lambda folder: Stream(), "no first, second and third image"),
        (lambda folder: SliceDict(X=np.zeros((3, 64))), "no first, second and third"),
        (lambda folder: Pairs(["text", "more"]), "cannot be read"),
        (lambda folder: Pairs([3, 4]), "yields int where images"),
        (lambda folder: [Image.new("L", (8, 8))], "a minimum of 2"),
    ],
)
def test_what_holds_no_images_is_an_error(X, message, folder):
    with pytest.raises((ValueError, TypeError), match=message):
        quick().fit(X(folder))


def test_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="holds no images: no file below it ends in"):
        quick().fit(tmp_path)


def test_empty_list_of_items_is_an_error_in_transform(paths):
    byol = quick().fit(paths)
    with pytest.raises(ValueError, match="0 sample"):
        byol.transform(TensorDataset(torch.zeros(0, 3, 16, 20)))


def test_threads_decode_in_order(paths, rows, monkeypatch):
    monkeypatch.setattr(_loading, "N_AT_ONCE", 3)
    np.testing.assert_array_equal(quick(n_jobs=2).fit_transform(paths), rows)


def test_cache_is_found_again_until_a_file_changes(tmp_path, paths, rows, monkeypatch):
    n_decoded = []
    original = _loading.decode
    monkeypatch.setattr(
        _loading, "decode", lambda *given: n_decoded.append(1) or original(*given)
    )
    cache = tmp_path / "cache"
    for expected in (N, 0):
        byol = quick(cache=cache).fit(paths)
        assert sum(n_decoded) == expected
        n_decoded.clear()
    np.testing.assert_array_equal(byol.transform(paths), rows)
    n_decoded.clear()
    assert len(list(cache.glob("*.npy"))) == 1
    os.utime(paths[0])
    quick(cache=cache).fit(paths)
    assert sum(n_decoded) == N
    assert len(list(cache.glob("*.npy"))) == 2


def test_cache_remembers_what_was_skipped(tmp_path, broken):
    first, again = (
        quick(on_error="skip", cache=tmp_path / "cache").fit(broken) for _ in range(2)
    )
    assert again.skipped_ == first.skipped_ == [broken[i] for i in (1, 3, 4, 5)]
    np.testing.assert_array_equal(
        first.transform(broken[6:]), again.transform(broken[6:])
    )


def test_failed_fit_leaves_no_cache(tmp_path, broken):
    with pytest.raises(UnreadableImagesError):
        quick(cache=tmp_path / "cache").fit(broken)
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_of_what_is_no_file_goes_with_the_fit(tmp_path, pixels, rows):
    byol = quick(cache=tmp_path).fit(Pairs(pixels))
    np.testing.assert_array_equal(byol.transform(pixels), rows)
    assert list(tmp_path.iterdir()) == []


def test_cache_that_cannot_be_written_is_an_error(tmp_path, paths):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a folder that can be written"):
        quick(cache=tmp_path / "file").fit(paths)


def test_what_does_not_fit_into_memory_is_streamed(paths, rows, broken, monkeypatch):
    monkeypatch.setattr(_loading, "MEMORY_SHARE", 0.0)
    np.testing.assert_array_equal(quick().fit_transform(paths), rows)
    byol = quick(on_error="skip").fit(broken)
    assert len(byol.files_) == 6


def test_file_that_vanishes_while_streaming_is_an_error(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(_loading, "MEMORY_SHARE", 0.0)
    for index in range(4):
        Image.fromarray(pixels[index]).save(tmp_path / f"{index}.png")

    def vanishing(images):
        (tmp_path / "3.png").unlink(missing_ok=True)
        return images

    with pytest.raises(UnreadableImagesError, match=r"1 of 4.*3\.png"):
        quick(views=vanishing, max_epochs=2).fit(tmp_path)


def test_transform_decodes_a_few_images_at_a_time(pixels):
    byol = quick().fit(pixels)
    n_images = 1500

    class Endless(Dataset):
        alive = 0

        def __len__(self):
            return n_images

        def __getitem__(self, index):
            return pixels[index % N]

    rows = byol.transform(Endless())
    np.testing.assert_array_equal(rows[:N], rows[-N:])


def test_pandas_output_keeps_the_index_of_a_series(paths):
    series = pd.Series(paths, index=[f"row {index}" for index in range(N)])
    frame = quick().set_output(transform="pandas").fit_transform(series)
    assert frame.index.tolist() == series.index.tolist()
    assert frame.columns[0] == "byoltransformer0"


def test_numbers_are_no_items():
    assert as_items([[1.0, 2.0]]) is None
    assert as_items(np.zeros((2, 64))) is None
    assert as_items(pd.DataFrame({"a": [1.0], "b": [2.0]})) is None
    assert as_items([np.zeros((8, 8))] * 2) is None
    assert as_items([]) is None
