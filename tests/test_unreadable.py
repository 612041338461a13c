"""Images that cannot be read, and what holds no images."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skorch.helper import SliceDict
from torch.utils.data import IterableDataset, TensorDataset

from sklearn_byol import UnreadableImagesError
from tests.conftest import Pairs, quick


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
    with pytest.raises(UnreadableImagesError, match=r"raise PIL\.Image\.MAX_IMAGE_PIX"):
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
        (lambda folder: folder / "nowhere", "which is not a folder"),
        (lambda folder: str(folder / "a" / "0.PNG"), "is not a folder but one image"),
        (lambda folder: folder.parent / "none", "which is not a folder"),
        (lambda folder: [str(folder), np.zeros((8, 8))], "mixes arrays, paths"),
        (lambda folder: [Image.new("L", (8, 8)), 3.0], "mixes PIL images, other"),
        (lambda folder: pd.DataFrame([["a.png", "b.png"]] * 3), "2 columns of strings"),
        (lambda folder: Stream(), "no first, second and third image"),
        (lambda folder: SliceDict(X=np.zeros((3, 64))), "no first, second and third"),
        (lambda folder: Pairs(["text", "more"]), "cannot be read"),
        (
            lambda folder: Pairs([3, 4]),
            r"2 of 2 .*X\[0\] \(it is of type int, no image",
        ),
        (lambda folder: iter([np.zeros((8, 8))] * 3), "list_iterator, which has no"),
        (lambda folder: {"image": np.zeros((3, 8, 8))}, "dict, which has no first"),
        (lambda folder: list("images"), "a path that was cut"),
        (lambda folder: Pairs([]), r"0 sample\(s\)"),
        (lambda folder: [Image.new("L", (8, 8))], "a minimum of 2"),
    ],
)
def test_what_holds_no_images_is_an_error(X, message, folder):
    with pytest.raises((ValueError, TypeError), match=message):
        quick().fit(X(folder))


def test_folder_without_images_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no images: no file below it ends in"):
        quick().fit(tmp_path)


def test_empty_list_of_items_is_an_error_in_transform(paths):
    byol = quick().fit(paths)
    with pytest.raises(ValueError, match="0 sample"):
        byol.transform(TensorDataset(torch.zeros(0, 3, 16, 20)))


class Faulty(Pairs):
    """Raises for some of its images."""

    def __getitem__(self, index):
        if index in {0, 4}:
            raise KeyError("gone")
        return super().__getitem__(index)


def test_datasets_that_raise_are_named_or_skipped(pixels):
    with pytest.raises(UnreadableImagesError, match=r"2 of 10 .*X\[0\] \(KeyError: 'g"):
        quick().fit(Faulty(pixels))
    byol = quick(on_error="skip").fit(Faulty(pixels))
    assert byol.skipped_ == ["X[0]", "X[4]"]
    is_skipped = np.isnan(byol.transform(Faulty(pixels))).all(axis=1)
    assert np.flatnonzero(is_skipped).tolist() == [0, 4]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda image: np.where(image > 0.5, np.nan, image),
            "not a number, infinite or too large",
        ),
        (lambda image: image.astype(complex), "complex"),
        (lambda image: np.zeros((8, 9, 5)), "which may be 5 channels of 8x9 pixels"),
        (
            lambda image: (image * 255).astype(np.uint8),
            "are uint8 where those of others are float32",
        ),
        (lambda image: 7, "it is of type int, no image"),
        (lambda image: None, "it is of type NoneType, no image"),
    ],
)
def test_one_bad_image_of_a_dataset_is_named(pixels, spoil, message):
    images = [(image / 255).astype(np.float32) for image in pixels]
    images[3] = spoil(images[3])
    with pytest.raises(UnreadableImagesError, match=rf"X\[3\] \(.*{message}"):
        quick(image_shape=(8, 8)).fit(Pairs(images))


def test_scale_is_that_of_all_images_not_of_the_first(pixels):
    images = pixels.astype(np.float32)
    images[0] /= 300
    byol = quick().fit(images)
    as_dataset = Pairs(images)
    np.testing.assert_array_equal(byol.transform(as_dataset), byol.transform(images))
    quick().fit(images, X_unlabeled=Pairs(images[:4]))
    fractions = quick().fit(pixels / 255)
    images[0] /= 255
    with pytest.raises(ValueError, match="Scale X as in fit"):
        fractions.transform(as_dataset)
    with pytest.raises(ValueError, match="Scale X as in fit"):
        fractions.fit(pixels / 255, X_unlabeled=Pairs(images[:4]))


@pytest.mark.posix
def test_folder_that_links_to_itself_is_read_once(tmp_path):
    (tmp_path / ".hidden").mkdir()
    for place in (tmp_path, tmp_path / ".hidden"):
        for index in range(3):
            Image.new("L", (8, 8), index).save(place / f"{index}.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(quick().fit(tmp_path).files_) == 3


def test_failed_fit_leaves_an_earlier_one(pixels):
    byol = quick().fit(pixels)
    before = dict(vars(byol))
    with pytest.raises(ValueError, match="Scale X as in fit"):
        byol.fit(pixels, X_unlabeled=pixels[:5] * 1000.0)
    assert vars(byol) == before
