"""The first image decides nothing: colour does, and what most images are."""

import errno
import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from sklearn_byol import UnreadableImagesError
from sklearn_byol.exceptions import ImagesWarning
from sklearn_byol.images import _cache, _datasets, _decode
from sklearn_byol.images._causes import cause_of
from tests.conftest import Pairs, quick

RNG = np.random.default_rng(0)
N_IMAGES, SIDE = 9, 12
COLOUR = RNG.integers(0, 256, (N_IMAGES, SIDE, SIDE, 3), dtype=np.uint8)
GRAY = COLOUR[..., 0]


def mixed(places):
    """Images in colour, but for those at some places, which are gray."""
    return [GRAY[n] if n in places else COLOUR[n] for n in range(N_IMAGES)]


def in_folder(X, folder):
    for index, image in enumerate(X):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def encoded(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


CONTAINERS = {
    "folder": in_folder,
    "paths": lambda X, folder: sorted(map(str, in_folder(X, folder).iterdir())),
    "pictures": lambda X, folder: [Image.fromarray(image) for image in X],
    "arrays": lambda X, folder: X,
    "Dataset": lambda X, folder: Pairs(X),
    "Dataset of pictures": lambda X, folder: Pairs([*map(Image.fromarray, X)]),
    "bytes": lambda X, folder: [encoded(image) for image in X],
}


@pytest.mark.parametrize("shape", [None, (8, 8)])
@pytest.mark.parametrize("places", [{0}, {8}, set(range(8)), {0, 1, 2, 3, 4}])
@pytest.mark.parametrize("name", CONTAINERS)
def test_one_image_in_colour_makes_all_of_them_so(name, places, shape, tmp_path):
    X = CONTAINERS[name](mixed(places), tmp_path)
    words = f"^{len(places)} of 9 images are gray and others are in colour"
    with pytest.warns(ImagesWarning, match=words):
        byol = quick(image_shape=shape).fit(X)
    assert byol.image_shape_[0] == 3
    found = byol.read_images(X).numpy()
    whole = [np.stack([it] * 3, -1) if it.ndim == 2 else it for it in mixed(places)]
    expected = byol.read_images(CONTAINERS[name](whole, tmp_path)).numpy()
    np.testing.assert_allclose(found, expected, atol=1 / 255 + 1e-6)


def test_colour_is_found_where_few_images_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(_datasets, "N_LOOKED_AT", 2)
    folder = tmp_path / "images"
    folder.mkdir()
    in_folder(mixed(set(range(N_IMAGES)) - {4}), folder)
    for n_jobs in (None, 2):
        for cache in (None, tmp_path / "cache"):
            with pytest.warns(ImagesWarning, match="8 of 9 images are gray"):
                byol = quick(n_jobs=n_jobs, cache=cache).fit(folder)
            assert byol.image_shape_ == (3, SIDE, SIDE)


def test_headers_save_decoding_twice(tmp_path, monkeypatch):
    decoded, decode = [], _decode.decode
    monkeypatch.setattr(
        _decode, "decode", lambda *given: decoded.append(1) or decode(*given)
    )
    with pytest.warns(ImagesWarning, match="gray"):
        quick().fit(in_folder(mixed({0, 1, 2, 3}), tmp_path))
    assert len(decoded) == N_IMAGES


@pytest.mark.parametrize("told", [(SIDE, SIDE, 1), (SIDE, SIDE, 3)])
def test_channels_that_are_told_are_no_news(told, tmp_path):
    folder = in_folder(mixed({0}), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImagesWarning)
        assert quick(image_shape=told).fit(folder).image_shape_[0] == told[2]


def test_most_images_decide_size_and_depth(tmp_path, monkeypatch):
    deep = RNG.integers(0, 65536, (SIDE, SIDE), dtype=np.uint16)
    small = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    for odd, words in ((deep, "its pixels are uint16"), (small, "it is 8x8 pixels")):
        X = [odd, *GRAY]
        for n_looked_at in (64, 1):
            monkeypatch.setattr(_datasets, "N_LOOKED_AT", n_looked_at)
            for given in (in_folder(X, tmp_path), X, Pairs(X)):
                with pytest.raises(UnreadableImagesError, match="^1 of 10 .*" + words):
                    quick().fit(given)
                byol = quick(on_error="skip").fit(given)
                assert len(byol.skipped_) == 1
                assert byol.skipped_[0].endswith(("0.png", "X[0]"))


CAUSES = {
    "missing": (lambda path: None, "there is no such file", "Check the paths"),
    "empty": (lambda path: path.touch(), "it is empty", "Remove them"),
    "cut off": (
        lambda path: path.write_bytes(encoded(COLOUR[0])[:200]),
        "it is damaged or cut off",
        "Remove them",
    ),
    "text": (
        lambda path: path.write_text("no image", encoding="utf-8"),
        "it is not an image that Pillow can read",
        "Remove them",
    ),
    "DICOM": (
        lambda path: path.write_bytes(bytes(128) + b"DICM" + bytes(99)),
        "it is a DICOM file; pass a Dataset",
        None,
    ),
    "archive": (
        lambda path: path.write_bytes(b"PK\3\4" + bytes(99)),
        "it is not an image that Pillow can read",
        "Remove them",
    ),
    "folder": (lambda path: path.mkdir(), "it is a folder", "Remove them"),
}
if sys.platform != "win32":
    CAUSES["link to a folder"] = (
        lambda path: path.symlink_to(path.parent.parent, target_is_directory=True),
        "it is a link to a folder; to follow it, pass list_images(folder, follow",
        None,
    )
FOREIGN = ("Errno", "cannot identify", "truncated", "numpy", "<_io", "object at")


def test_a_long_cause_is_said_once(tmp_path):
    folder = in_folder(COLOUR, tmp_path)
    for name in "xy":
        (folder / f"{name}.png").write_bytes(bytes(128) + b"DICM" + bytes(99))
    with pytest.raises(UnreadableImagesError) as caught:
        quick().fit(folder)
    assert f"{folder / 'x.png'}, {folder / 'y.png'} (it is a DICOM file; " in (
        str(caught.value)
    )


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_has_its_own_remedy(name, tmp_path):
    make, words, remedy = CAUSES[name]
    folder = in_folder(COLOUR, tmp_path)
    make(folder / "x.png")
    paths = [*sorted(map(str, folder.iterdir())), str(folder / "x.png")][:10]
    with pytest.raises(UnreadableImagesError) as caught:
        quick().fit(paths)
    text = str(caught.value)
    assert f"1 of 10 images cannot be read: {folder / 'x.png'} ({words}" in text
    assert not any(foreign in text for foreign in FOREIGN)
    if remedy is None:
        assert "on_error" not in text
    else:
        assert text.endswith(f" {remedy}, or pass on_error='skip'.")


def test_several_causes_have_several_remedies(tmp_path):
    paths = sorted(map(str, in_folder(COLOUR, tmp_path).iterdir()))
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnreadableImagesError) as caught:
        quick().fit([*paths, str(tmp_path / "none.png"), str(tmp_path / "empty.png")])
    wanted = "Check the paths, remove them, or pass on_error='skip'."
    assert str(caught.value).endswith(wanted)


def test_what_a_dataset_raises_is_told_in_its_words():
    class Faulty(Pairs):
        def __getitem__(self, index):
            if index == 3:
                raise OSError("the disk of slides is not there")
            return super().__getitem__(index)

    words = r"X\[3\] \(OSError: the disk of slides .* Mend the Dataset, or pass on_err"
    with pytest.raises(UnreadableImagesError, match=words):
        quick().fit(Faulty(list(COLOUR)))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EINVAL, "", "a?.png"), "there is no such file"),  # of Windows
        (OSError(errno.EINVAL, ""), "it is damaged or cut off"),  # of a seek
        (OSError("cannot identify"), "it is damaged or cut off"),
    ],
)
def test_what_the_system_says_of_a_path_is_told_from_what_it_says_of_bytes(
    error, words
):
    assert cause_of(error) == words


def test_a_file_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    folder = in_folder(COLOUR, tmp_path)

    def closed(*given, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", closed)
    with pytest.raises(UnreadableImagesError, match=r"0\.png \(it may not be read\)"):
        quick().fit(folder)


def test_an_image_that_is_skipped_makes_no_others_colour(tmp_path):
    X = [*GRAY, np.zeros((8, 8, 3), np.uint8)]
    for given in (in_folder(X, tmp_path), X, Pairs(X)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ImagesWarning)
            byol = quick(on_error="skip").fit(given)
        assert byol.image_shape_ == (1, SIDE, SIDE)
        assert len(byol.skipped_) == 1


@pytest.mark.parametrize("n_odd", [1, 3])
def test_transform_reads_the_depth_of_fit_whatever_comes_first(n_odd):
    deep = RNG.integers(0, 65536, (4, SIDE, SIDE), dtype=np.uint16)
    X = Pairs([*GRAY[:n_odd], *deep])
    byol = quick(on_error="skip").fit(X)
    assert byol.skipped_ == [f"X[{n}]" for n in range(n_odd)]
    is_skipped = np.isnan(byol.transform(X)).all(axis=1)
    assert np.flatnonzero(is_skipped).tolist() == [*range(n_odd)]


def test_channels_that_do_not_mix_have_a_way_out():
    tiles = RNG.integers(0, 256, (2, SIDE, SIDE, 4), dtype=np.uint8)
    words = r"it has 4 channels where others have 3\).*Train on those of one kind, or"
    with pytest.raises(UnreadableImagesError, match=words):
        quick().fit(Pairs([*COLOUR, *tiles]))


def test_colour_of_any_depth_is_made_gray_where_that_is_told(tmp_path):
    deep = RNG.integers(0, 65536, (6, SIDE, SIDE, 3), dtype=np.uint16)
    gray = deep @ [0.299, 0.587, 0.114]
    byol = quick(image_shape=(SIDE, SIDE, 1)).fit(Pairs([deep[0, ..., 0], *deep]))
    found = byol.read_images(Pairs(list(deep)))[:, 0].numpy()
    low, high = byol.pixel_range_
    np.testing.assert_allclose(found, (gray - low) / (high - low), atol=1e-4)


def test_what_hinders_reading_is_no_part_of_a_cache(tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    in_folder(COLOUR, folder)
    Image.new("RGB", (40, 40)).save(folder / "x.png")
    given = {"cache": tmp_path / "cache", "image_shape": (8, 8), "on_error": "skip"}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert len(quick(**given).fit(folder).skipped_) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**6)
    assert quick(**given).fit(folder).skipped_ == []


def test_one_file_in_memory_is_read_by_many_threads():
    X = [io.BytesIO(encoded(COLOUR[0]))] * 200
    assert quick(n_jobs=4, max_epochs=0).fit(X).read_images(X).shape[0] == 200


def test_masked_values_are_refused():
    masked = np.ma.masked_less(RNG.random((SIDE, SIDE)), 0.1)
    words = r"masked; pass its filled\(value\)"
    with pytest.raises(UnreadableImagesError, match=words):
        quick().fit(Pairs([masked] * 3))


@pytest.mark.parametrize(
    "X",
    [
        1e9 + RNG.random((6, SIDE, SIDE)),
        2**30 + RNG.integers(0, 20, (6, SIDE, SIDE), dtype=np.int32),
        [2**54 + RNG.integers(0, 2**31, (SIDE, SIDE))] * 6,
    ],
)
def test_values_that_are_one_number_in_float32_are_refused(X):
    with pytest.raises(ValueError, match="float32, in which all is computed, little"):
        quick().fit(X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_image_too_large_for_float32_is_named_or_skipped(dtype):
    X = [*RNG.random((6, SIDE, SIDE)).astype(dtype)]
    X[2] = X[2] * (1e300 if dtype == np.float64 else np.inf)
    with pytest.raises(UnreadableImagesError, match=r"X\[2\] .*too large for float32"):
        quick().fit(Pairs(X))
    byol = quick(on_error="skip").fit(Pairs(X))
    assert np.isnan(byol.transform(Pairs(X))[2]).all()


def test_a_list_of_nothing_is_named_or_skipped():
    byol = quick(on_error="skip").fit([*GRAY, None])
    assert np.isnan(byol.transform([None, None])).all()
    with pytest.raises(UnreadableImagesError, match=r"2 of 2 .*X\[0\] \(it is of type"):
        quick().fit(GRAY).transform([None, None])


@pytest.mark.parametrize(
    ("shape", "told", "expected"),
    [
        ((16, 16, 5), None, (5, 16, 16)),
        ((5, 16, 16), None, (5, 16, 16)),
        ((20, 20, 20), (20, 20), (20, 20, 20)),
        ((4, 20, 3), (4, 20), (3, 4, 20)),
        ((4, 20, 3), (20, 3), (4, 20, 3)),
    ],
)
def test_axes_of_arrays_are_the_same_in_every_container(shape, told, expected):
    X = RNG.random((6, *shape)).astype(np.float32)
    by_array, by_items = (quick(image_shape=told).fit(it) for it in (X, Pairs(list(X))))
    assert by_array.image_shape_ == by_items.image_shape_ == expected
    np.testing.assert_array_equal(
        by_array.read_images(X), by_items.read_images(Pairs(list(X)))
    )


@pytest.mark.parametrize("shape", [(4, 20, 3), (20, 20, 20), (20, 24, 5)])
def test_axes_that_may_be_read_in_two_ways_are_an_error_everywhere(shape):
    X = RNG.random((6, *shape)).astype(np.float32)
    for given in (X, Pairs(list(X))):
        with pytest.raises(ValueError, match=r"may (be|have|come)"):
            quick().fit(given)


def test_a_file_that_gets_colour_while_training_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(_cache, "MEMORY_SHARE", 0.0)
    folder = in_folder(GRAY, tmp_path)

    def colouring(images):
        Image.fromarray(COLOUR[3]).save(folder / "3.png")
        return images

    words = r"1 of 9 .*3\.png \(it has 3 channels where others have 1\)"
    with pytest.raises(UnreadableImagesError, match=words):
        quick(views=colouring, max_epochs=2).fit(folder)


ODD = [np.zeros(5), np.array(3), np.array("a"), np.zeros((2, 3, 8, 8)), object(), 3]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{type(odd).__name__}")
@pytest.mark.parametrize("name", ["paths", "pictures", "arrays"])
def test_an_odd_object_in_a_list_is_named_or_skipped(name, odd, tmp_path):
    X = [*CONTAINERS[name](list(COLOUR), tmp_path), odd]
    with pytest.raises(UnreadableImagesError, match=r"1 of 10 .*X\[9\] \(it"):
        quick().fit(X)
    assert quick(on_error="skip").fit(X).skipped_ == ["X[9]"]


def test_an_image_shape_of_two_readings_is_settled_by_any_image():
    X = [RNG.random((*size, 5)) for size in ((16, 20), (18, 22), (30, 21))]
    for given in (X, X[::-1]):
        assert quick(image_shape=(16, 20, 5)).fit(given).image_shape_ == (5, 16, 20)
    words = r"pass image_shape=\(5, 16, 20\) for the first, or"
    with pytest.raises(UnreadableImagesError, match=words):
        quick(image_shape=(16, 20)).fit(X)
    assert quick(image_shape=(5, 16, 20)).fit(X).image_shape_ == (5, 16, 20)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_skipping_is_no_advice_where_it_does_not_help(on_error):
    with pytest.raises(UnreadableImagesError) as caught:
        quick(on_error=on_error).fit(["/n.png", "/m.png"])
    assert str(caught.value).endswith("Check the paths.")


def test_pictures_of_many_pages_are_refused_where_bands_are_asked_for(tmp_path):
    pages = [Image.fromarray(image) for image in GRAY[:4]]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with Image.open(tmp_path / "a.tif") as picture:
        words = "it has 4 pages, of which Pillow gives one; pass its path"
        with pytest.raises(UnreadableImagesError, match=words):
            quick(image_shape=(SIDE, SIDE, 4)).fit([picture] * 2)
