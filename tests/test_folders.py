"""Folders: their order, what of them is read, and what is passed over."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features
from torchvision.datasets import ImageFolder

from sklearn_byol import ImagesWarning, UnreadableImagesError, list_images
from tests.conftest import quick

IMAGE = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)


def write(path, image=IMAGE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def classes(tmp_path):
    """Folders of classes some names of which begin with others."""
    rng = np.random.default_rng(0)
    for name in ("cell", "cell wall", "cell-debris", "cell.old", "nucleus", "Mitosis"):
        for index in range(3):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            write(tmp_path / "images" / name / f"{index}.png", pixels)
    return tmp_path / "images"


def sorted_below(folder):
    """Sort paths as pathlib does, but that Windows takes capitals for small letters."""
    return sorted(folder.rglob("*.png"), key=lambda path: path.parts)


def test_order_is_that_of_image_folder_and_of_sorted_paths(classes):
    listed = list_images(classes)
    assert listed == [path for path, _ in ImageFolder(str(classes)).samples]
    assert listed == [str(path) for path in sorted_below(classes)]
    assert quick().fit(classes).files_ == listed


def test_rows_are_in_the_order_that_is_listed(classes):
    byol = quick().fit(classes)
    rows = byol.transform(list_images(classes))
    np.testing.assert_array_equal(byol.transform(str(classes)), rows)


def test_files_between_folders_stand_where_sorted_paths_have_them(tmp_path):
    for name in ("a/1.png", "a b/1.png", "a.png", "a/b/1.png", "a/b.png", "z.png"):
        write(tmp_path / name)
    assert list_images(tmp_path) == [str(path) for path in sorted_below(tmp_path)]


@pytest.mark.parametrize("folder", ["images/", "./images", "images/../images"])
def test_order_does_not_hang_on_how_the_folder_is_written(folder, classes, monkeypatch):
    monkeypatch.chdir(classes.parent)
    names = [Path(path).resolve() for path in list_images(folder)]
    assert names == [Path(path).resolve() for path in list_images(classes)]


@pytest.mark.parametrize(
    "ending", [".jfif", ".jpe", ".JPG", ".apng", ".tga", ".dib", ".pnm", ".jpx", ".ico"]
)
def test_files_of_all_endings_that_pillow_reads_are_found(ending, tmp_path):
    form = {".jpx": "JPEG2000", ".apng": "PNG", ".jfif": "JPEG", ".jpe": "JPEG"}
    if ending == ".jpx" and not features.check("jpg_2000"):
        pytest.skip("Pillow was built without JPEG 2000")
    for index in range(4):
        image = np.full((16, 16, 3), 40 * index, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{index}{ending}", form.get(ending))
    assert quick(image_shape=(8, 8)).fit_transform(tmp_path).shape[0] == 4


@pytest.mark.skipif(".avif" not in Image.registered_extensions(), reason="no AVIF")
def test_avif_is_found(tmp_path):
    write(tmp_path / "a.avif")
    assert list_images(tmp_path) == [str(tmp_path / "a.avif")]


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_arrays_of_numpy_are_read_as_the_array(dtype, tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (6, 8, 8)).astype(dtype)
    for index, image in enumerate(X):
        np.save(tmp_path / f"{index}.npy", image)
    byol = quick().fit(X)
    rows = byol.transform(X)
    np.testing.assert_allclose(byol.transform(tmp_path), rows, rtol=1e-5, atol=1e-6)
    fitted = quick().fit(tmp_path)
    np.testing.assert_allclose(fitted.transform(X), rows, rtol=1e-5, atol=1e-6)


def test_files_that_may_hold_many_images_are_told(tmp_path):
    X = np.random.default_rng(0).integers(0, 256, (4, 30, 16, 16), dtype=np.uint8)
    for index, stack in enumerate(X):
        np.save(tmp_path / f"{index}.npy", stack)
    with pytest.warns(ImagesWarning, match="one image of 30 channels, 16x16 pixels"):
        quick(image_shape=(16, 16)).fit(tmp_path)
    # Nothing is said where the channels are stated, or as few as a camera has.
    quick(image_shape=(16, 16, 30)).fit(tmp_path)
    for index, stack in enumerate(X):
        np.save(tmp_path / f"{index}.npy", stack[:13])
    quick().fit(tmp_path)


def test_planes_that_a_tiff_calls_channels_are_no_question(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    X = np.random.default_rng(0).integers(0, 256, (4, 30, 16, 16), dtype=np.uint8)
    for index, image in enumerate(X):
        tifffile.imwrite(
            tmp_path / f"{index}.tif", image, imagej=True, metadata={"axes": "CYX"}
        )
    assert quick().fit(tmp_path).image_shape_ == (30, 16, 16)


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.save(tmp_path / "b.npy", IMAGE)
    with pytest.raises(UnreadableImagesError, match=r"a\.npy"):
        quick().fit(tmp_path)


def test_what_is_passed_over_is_counted_in_one_warning(classes):
    for name in ("labels.csv", "a/notes.txt", "a/b.txt", "README", ".hidden.png"):
        path = classes / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no image", encoding="utf-8")
    (classes / "Thumbs.db").write_text("of Windows", encoding="utf-8")
    (classes / ".DS_Store").write_text("of macOS", encoding="utf-8")
    (classes / ".ipynb_checkpoints").mkdir()
    with pytest.warns(ImagesWarning) as caught:
        list_images(classes)
    (one,) = caught
    expected = (
        r"18 images are read\. Passed over: 4 with other endings "
        r"\(\.txt 2, (\.csv 1, none 1|none 1, \.csv 1)\) and 1 hidden\."
    )
    assert re.search(expected, str(one.message))


def test_a_folder_without_images_says_what_is_there(tmp_path):
    (tmp_path / "a.mp4").write_text("a film", encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds no images: .* 1 with .*\.mp4 1"):
        list_images(tmp_path)


@pytest.mark.posix
def test_links_that_lead_out_are_followed_where_that_is_asked_for(tmp_path):
    write(tmp_path / "elsewhere" / "0.png")
    write(tmp_path / "images" / "1.png")
    (tmp_path / "images" / "link").symlink_to(tmp_path / "elsewhere")
    folder = tmp_path / "images"
    with pytest.raises(UnreadableImagesError, match="follow_links=True"):
        quick().fit(folder)
    files = list_images(folder, follow_links=True)
    assert files == [str(folder / "1.png"), str(folder / "link" / "0.png")]
    assert quick().fit(files).files_ == files


@pytest.mark.posix
def test_a_folder_that_is_linked_twice_is_read_once(tmp_path):
    write(tmp_path / "a" / "0.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert list_images(tmp_path) == [str(tmp_path / "a" / "0.png")]


def test_tilde_is_the_folder_of_the_user(classes, monkeypatch):
    for name in ("HOME", "USERPROFILE"):  # the latter on Windows
        monkeypatch.setenv(name, str(classes.parent))
    assert list_images("~/images") == list_images(classes)
    short = [path.replace(str(classes.parent), "~") for path in list_images(classes)]
    assert quick().fit(short).files_ == list_images(classes)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
@pytest.mark.parametrize("cache", [False, True])
def test_names_that_are_not_utf8_are_read(cache, tmp_path):
    for index in range(4):
        name = os.fsdecode(b"\xff%d.png" % index)
        write(tmp_path / "images" / name, np.roll(IMAGE, index))
    byol = quick(cache=tmp_path / "cache" if cache else None)
    byol.set_params(checkpoint=tmp_path / "checkpoint")
    assert byol.fit_transform(tmp_path / "images").shape[0] == 4
    (tmp_path / "images" / os.fsdecode(b"\xff9.png")).write_text(
        "no image", encoding="utf-8"
    )
    with pytest.raises(UnreadableImagesError):
        byol.fit(tmp_path / "images")


@pytest.mark.posix
def test_a_link_within_the_folder_does_not_hide_what_it_leads_to(tmp_path):
    write(tmp_path / "zebra" / "0.png")
    (tmp_path / "alias").symlink_to(tmp_path / "zebra")
    write(tmp_path / ".hidden" / "1.png")
    (tmp_path / "seen").symlink_to(tmp_path / ".hidden")
    names = [str(tmp_path / name) for name in ("seen/1.png", "zebra/0.png")]
    assert list_images(tmp_path) == names


@pytest.mark.posix
def test_a_cache_knows_whether_links_are_followed(tmp_path):
    for index in range(4):
        write(tmp_path / "images" / f"{index}.png", np.roll(IMAGE, index))
    write(tmp_path / "9.png")
    (tmp_path / "images" / "9.png").symlink_to(tmp_path / "9.png")
    byol = quick(cache=tmp_path / "cache", on_error="skip")
    folder = tmp_path / "images"
    for _ in range(2):
        assert byol.fit(folder).skipped_ == [str(folder / "9.png")]
        assert byol.fit(list_images(folder, follow_links=True)).skipped_ == []
