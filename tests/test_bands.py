"""Images of any number of bands give one row in whatever container they come."""

import io
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from sklearn_byol import UnreadableImagesError
from sklearn_byol.images._causes import NotReadError
from sklearn_byol.images._decode import decode
from sklearn_byol.images._tiff_planes import upright
from tests.conftest import Pairs, quick

RNG = np.random.default_rng(0)
N_IMAGES, SIDE = 6, 12
DEPTHS = {
    "8 bits": lambda shape: RNG.integers(0, 256, shape, dtype=np.uint8),
    "12 bits": lambda shape: RNG.integers(0, 4096, shape, dtype=np.uint16),
    "16 bits, signed": lambda shape: RNG.integers(-999, 2000, shape, dtype=np.int16),
    "32 bits": lambda shape: RNG.integers(0, 2**32, shape, dtype=np.uint32),
    "float": lambda shape: RNG.normal(size=shape).astype(np.float32),
    "float of 64 bits": lambda shape: RNG.normal(size=shape),
}


def to_tiff(image, path, **how):
    """Write an image (height, width, n_bands) of bands, whatever their number is."""
    tifffile.imwrite(path, image, photometric="minisblack", **how)


def bands_side_by_side(image, path):
    to_tiff(image, path, planarconfig="contig")


def band_by_band(image, path):
    to_tiff(image.transpose(2, 0, 1), path, planarconfig="separate")


def pages(image, path):
    to_tiff(image.transpose(2, 0, 1), path)


def big(image, path):
    tifffile.imwrite(path, image, bigtiff=True, planarconfig="contig", photometric=1)


def packed(image, path):
    how = {"compression": "lzw", "predictor": image.dtype.kind != "f"}
    to_tiff(image, path, planarconfig="contig", **how)


def of_imagej(image, path):
    image = image.transpose(2, 0, 1)
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "CYX"})


def of_ome(image, path):
    image = image.transpose(2, 0, 1)
    tifffile.imwrite(path, image, ome=True, metadata={"axes": "CYX"}, photometric=1)


def of_numpy(image, path):
    np.save(path.with_suffix(".npy"), image)


def of_numpy_channels_first(image, path):
    np.save(path.with_suffix(".npy"), image.transpose(2, 0, 1))


WRITERS = {
    writer.__name__: writer
    for writer in (
        *(bands_side_by_side, band_by_band, pages, big, packed),
        *(of_imagej, of_ome, of_numpy, of_numpy_channels_first),
    )
}
IN_MEMORY = {
    "list": list,
    "tensor": torch.from_numpy,
    "list of tensors": lambda X: [torch.from_numpy(image) for image in X],
    "Dataset": lambda X: Pairs(list(X)),
    "Dataset of tensors": lambda X: Pairs([*torch.from_numpy(X).permute(0, 3, 1, 2)]),
    "TensorDataset": lambda X: TensorDataset(torch.from_numpy(X)),
    "rows": lambda X: X.reshape(len(X), -1),
}


def written(X, folder, writer):
    for index, image in enumerate(X):
        writer(image, folder / f"{index}.tif")
    return folder


def mapped(X, folder):
    """Put an array into a file that is mapped into memory."""
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", "r")


def check_rows(X, other):
    """One model of the array and one of another container agree about both."""
    shape = X.shape[1:]
    by_array = quick(image_shape=shape).fit(X)
    rows = by_array.transform(X)
    by_other = quick(image_shape=shape).fit(other)
    assert by_other.image_shape_ == (shape[2], *shape[:2])
    for byol, given in ((by_array, other), (by_other, X), (by_other, other)):
        np.testing.assert_allclose(byol.transform(given), rows, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_bands", [2, 3, 4, 5, 13])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", [*WRITERS, *IN_MEMORY, "memmap"])
def test_bands_are_read_in_every_container_and_depth(n_bands, depth, name, tmp_path):
    X = DEPTHS[depth]((N_IMAGES, SIDE, SIDE, n_bands))
    if name == "of_imagej" and X.dtype not in (np.uint8, np.uint16, np.float32):
        pytest.skip("ImageJ has no such files")
    if name == "memmap":
        check_rows(X, mapped(X, tmp_path))
    elif name in IN_MEMORY:
        check_rows(X, IN_MEMORY[name](X))
    else:
        check_rows(X, written(X, tmp_path, WRITERS[name]))


@pytest.mark.parametrize("name", ["bands_side_by_side", "band_by_band", "pages"])
def test_an_oblong_image_shape_is_read_as_the_files_have_it(name, tmp_path):
    X = DEPTHS["12 bits"]((N_IMAGES, SIDE, 16, 5))
    folder = written(X, tmp_path, WRITERS[name])
    byol = quick(image_shape=(SIDE, 16, 5)).fit(folder)
    assert byol.image_shape_ == (5, SIDE, 16)
    images = byol.read_images(folder).numpy()
    np.testing.assert_allclose(images, X.transpose(0, 3, 1, 2) / 4095, atol=1e-3)


def test_an_oblong_image_shape_of_arrays_has_two_readings():
    X = list(DEPTHS["float"]((N_IMAGES, SIDE, 16, 5)))
    with pytest.raises(ValueError, match=r"may be 12x16 pixels with 5 channels or"):
        quick(image_shape=(SIDE, 16, 5)).fit(Pairs(X))
    assert quick(image_shape=(SIDE, 16)).fit(Pairs(X)).image_shape_ == (5, SIDE, 16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_bands", [4, 5])
def test_bands_beside_colour_are_data(n_bands, dtype, tmp_path):
    X = RNG.integers(0, 256, (N_IMAGES, SIDE, SIDE, n_bands)).astype(dtype)
    for index, image in enumerate(X):
        how = {"photometric": "rgb", "extrasamples": [0] * (n_bands - 3)}
        tifffile.imwrite(tmp_path / f"{index}.tif", image, **how)
    byol = quick().fit(tmp_path)
    assert byol.image_shape_ == (n_bands, SIDE, SIDE)
    expected = quick(image_shape=X.shape[1:]).fit(X).read_images(X)
    np.testing.assert_allclose(byol.read_images(tmp_path), expected, atol=1e-6)
    colour = quick(image_shape=(SIDE, SIDE, 3)).fit(tmp_path)
    assert colour.image_shape_ == (3, SIDE, SIDE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n", [2, 4])
def test_a_last_band_that_is_said_to_be_an_alpha_has_two_readings(n, dtype, tmp_path):
    white = np.iinfo(dtype).max
    X = RNG.integers(0, white, (N_IMAGES, SIDE, SIDE, n)).astype(dtype)
    how = {"photometric": "rgb" if n == 4 else "minisblack", "planarconfig": "contig"}
    for index, image in enumerate(X):
        tifffile.imwrite(tmp_path / f"{index}.tif", image, extrasamples=[2], **how)
    ways = rf"image_shape=\(12, 12, {n - 1}\) .* or \(12, 12, {n}\) to keep"
    with pytest.raises(UnreadableImagesError, match=ways) as caught:
        quick().fit(tmp_path)
    assert "Remove" not in str(caught.value)
    whole = quick(image_shape=(SIDE, SIDE, n), pixel_range=(0, white)).fit(tmp_path)
    np.testing.assert_allclose(
        whole.read_images(tmp_path), X.transpose(0, 3, 1, 2) / white, atol=1e-6
    )
    over = quick(image_shape=(SIDE, SIDE, n - 1), pixel_range=(0, white)).fit(tmp_path)
    share = X[..., -1:] / white
    expected = (X[..., :-1] / white * share + 1 - share).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(
        over.read_images(tmp_path), expected, atol=1 / white + 1e-6
    )


def test_an_alpha_that_hides_nothing_is_left_out(tmp_path):
    X = RNG.integers(0, 255, (N_IMAGES, SIDE, SIDE, 4), dtype=np.uint8)
    X[..., 3] = 255
    for index, image in enumerate(X):
        tifffile.imwrite(tmp_path / f"{index}.tif", image, photometric="rgb")
    byol = quick().fit(tmp_path)
    expected = X[..., :3].transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(byol.read_images(tmp_path), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "photometric", "words"),
    [
        (
            (5, SIDE, SIDE),
            1,
            "one image with 5 channels or 5 images; pass image_shape=",
        ),
        ((3, SIDE, SIDE), 1, "one image with 3 channels or 3 images"),
        ((5, SIDE, SIDE, 3), 2, "one image with 15 channels or 5 images"),
    ],
)
def test_pages_have_two_readings_where_it_is_not_told(
    shape, photometric, words, tmp_path
):
    X = RNG.integers(0, 256, (N_IMAGES, *shape), dtype=np.uint8)
    for index, image in enumerate(X):
        path = tmp_path / f"{index}.tif"
        tifffile.imwrite(path, image, photometric=photometric)
    for told in (None, (SIDE, SIDE), (SIDE, SIDE, 1)):
        with pytest.raises(UnreadableImagesError) as caught:
            quick(image_shape=told).fit(tmp_path)
        assert words in str(caught.value)
        assert "Remove" not in str(caught.value)
    n_channels = int(words.split()[3])
    byol = quick(image_shape=(SIDE, SIDE, n_channels)).fit(tmp_path)
    planes = X if X.ndim == 4 else X.transpose(0, 1, 4, 2, 3).reshape(6, 15, SIDE, SIDE)
    np.testing.assert_allclose(byol.read_images(tmp_path), planes / 255, atol=1e-6)


def test_smaller_copies_and_masks_are_no_pages(tmp_path):
    X = RNG.integers(0, 256, (N_IMAGES, 16, 16), dtype=np.uint8)
    for index, image in enumerate(X):
        with tifffile.TiffWriter(tmp_path / f"{index}.tif") as file:
            file.write(image, metadata=None)
            file.write(image[::2, ::2], subfiletype=1, metadata=None)
            file.write(image[::4, ::4], subfiletype=1, metadata=None)
            file.write(image > 9, subfiletype=4, metadata=None)
    images = quick().fit(tmp_path).read_images(tmp_path)
    np.testing.assert_allclose(images, X[:, np.newaxis] / 255, atol=1e-6)


def test_images_of_several_sizes_in_a_file_are_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((16, 16), np.uint8), metadata=None)
        file.write(np.zeros((9, 9), np.uint8), metadata=None)
    with pytest.raises(UnreadableImagesError, match="2 images, of 16x16, 9x9; pass"):
        quick().fit(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("n_bands", [3, 5])
def test_bands_are_turned_upright_as_pictures_are(orientation, n_bands, tmp_path):
    image = RNG.integers(0, 256, (10, 14, n_bands), dtype=np.uint8)
    how = {"planarconfig": "contig", "extratags": [(274, 3, 1, orientation)]}
    tifffile.imwrite(tmp_path / "a.tif", image, photometric=1, **how)
    picture = Image.fromarray(image[..., :3])
    picture.save(tmp_path / "b.png", exif=_exif(orientation))
    size = (10, 14) if orientation < 5 else (14, 10)
    found = decode(tmp_path / "a.tif", (n_bands, *size)).pixels
    expected = decode(tmp_path / "b.png", (3, *size)).pixels
    np.testing.assert_array_equal(found[:3], expected)


def _exif(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.float16, np.float64])
def test_gray_tiff_of_types_that_pillow_lacks(dtype, tmp_path):
    top = {np.int8: 127, np.uint32: 2**32 - 1}.get(dtype, 1)
    X = (RNG.uniform(-1 if dtype != np.uint32 else 0, 1, (6, 12, 12)) * top).astype(
        dtype
    )
    for index, image in enumerate(X):
        tifffile.imwrite(tmp_path / f"{index}.tif", image)
    byol = quick().fit(X)
    np.testing.assert_allclose(
        byol.transform(tmp_path), byol.transform(X), rtol=1e-3, atol=1e-4
    )


def test_without_tifffile_the_extra_is_named(tmp_path, monkeypatch):
    X = RNG.integers(0, 256, (N_IMAGES, SIDE, SIDE, 5), dtype=np.uint8)
    for name in ("bands_side_by_side", "pages"):
        (tmp_path / name).mkdir()
        written(X, tmp_path / name, WRITERS[name])
    (tmp_path / "gray").mkdir()
    for index, image in enumerate(X):
        tifffile.imwrite(tmp_path / "gray" / f"{index}.tif", image[..., 0])
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for name in ("bands_side_by_side", "pages"):
        with pytest.raises(UnreadableImagesError, match=r"'sklearn-byol\[tiff\]'"):
            quick(image_shape=X.shape[1:]).fit(tmp_path / name)
    assert quick().fit(tmp_path / "gray").image_shape_ == (1, SIDE, SIDE)


def test_encoded_bands_are_read(tmp_path):
    X = RNG.integers(0, 4096, (N_IMAGES, SIDE, SIDE, 5), dtype=np.uint16)
    encoded = []
    for image in X:
        file = io.BytesIO()
        to_tiff(image, file, planarconfig="contig")
        encoded.append({"bytes": file.getvalue(), "path": None})
    check_rows(X, Pairs(encoded))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF|Truncated:UserWarning")
def test_a_broken_tiff_of_bands_is_named(tmp_path):
    X = RNG.integers(0, 4096, (N_IMAGES, SIDE, SIDE, 5), dtype=np.uint16)
    folder = written(X, tmp_path, WRITERS["bands_side_by_side"])
    path = folder / "3.tif"
    for n in (8, 60, 300):
        path.write_bytes((folder / "2.tif").read_bytes()[:n])
        with pytest.raises(
            UnreadableImagesError, match=r"1 of 6 .*3\.tif \(it (is dam|has no pix)"
        ):
            quick(image_shape=X.shape[1:]).fit(folder)
        byol = quick(image_shape=X.shape[1:], on_error="skip").fit(folder)
        assert byol.skipped_ == [str(path)]


def test_models_of_three_bands_refuse_five(tmp_path):
    X = RNG.integers(0, 4096, (N_IMAGES, SIDE, SIDE, 5), dtype=np.uint16)
    byol = quick().fit(X[..., :3])
    folder = written(X, tmp_path, WRITERS["bands_side_by_side"])
    for given in (Pairs(list(X)), folder):
        with pytest.raises(UnreadableImagesError, match="it has 5 channels where 3"):
            byol.transform(given)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint32, np.float32])
def test_gray_tiff_is_turned_upright(orientation, dtype, tmp_path):
    image = RNG.integers(0, 100, (10, 14)).astype(dtype)
    how = {"photometric": "minisblack", "extratags": [(274, 3, 1, orientation)]}
    tifffile.imwrite(tmp_path / "a.tif", image, **how)
    found = decode(tmp_path / "a.tif", None).pixels[0]
    np.testing.assert_array_equal(found, upright(image, orientation))
    if dtype not in (np.int8, np.uint32):  # of which Pillow has the bits alone
        with Image.open(tmp_path / "a.tif") as picture:
            np.testing.assert_array_equal(decode(picture, None).pixels[0], found)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_pages", [1, 3])
def test_white_that_is_zero_is_turned_at_every_depth(dtype, n_pages, tmp_path):
    top = np.iinfo(dtype).max
    image = RNG.integers(0, top, (n_pages, SIDE, SIDE)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    found = decode(tmp_path / "a.tif", (n_pages, SIDE, SIDE)).pixels
    np.testing.assert_array_equal(found, top - image)


def test_a_smaller_copy_that_comes_first_is_passed_over(tmp_path):
    image = RNG.integers(0, 256, (16, 20, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
        file.write(image, photometric="rgb", metadata=None)
    found = decode(tmp_path / "a.tif", None).pixels
    np.testing.assert_array_equal(found, image.transpose(2, 0, 1))


@pytest.mark.parametrize("how", [{}, {"subfiletype": 2}, {"metadata": None}])
def test_pages_that_are_written_one_by_one_are_channels_where_told(how, tmp_path):
    image = RNG.integers(0, 4096, (4, SIDE, SIDE), dtype=np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in image:
            file.write(page, photometric="minisblack", **how)
    found = decode(tmp_path / "a.tif", (4, SIDE, SIDE)).pixels
    np.testing.assert_array_equal(found, image)
    with pytest.raises(NotReadError, match=r"4 pages .* 4 channels or 4 images"):
        decode(tmp_path / "a.tif", None)


def test_an_alpha_of_few_bits_and_one_that_is_multiplied(tmp_path):
    image = RNG.integers(0, 4096, (SIDE, SIDE, 4), dtype=np.uint16)
    image[..., 3] = 4095
    how = {"photometric": "rgb", "compression": "packbits"}
    encoded = imagecodecs.jpeg2k_encode(image, level=0, bitspersample=12)
    (tmp_path / "a.jp2").write_bytes(encoded)
    found = decode(tmp_path / "a.jp2", None).pixels
    np.testing.assert_array_equal(found, image[..., :3].transpose(2, 0, 1))
    image = np.full((SIDE, SIDE, 4), 100, np.uint8)
    image[..., 3] = 128
    how = {"photometric": "rgb", "extrasamples": ["assocalpha"]}
    tifffile.imwrite(tmp_path / "b.tif", image, **how)
    found = decode(tmp_path / "b.tif", (3, SIDE, SIDE)).pixels
    assert (found == 100 + 255 - 128).all()


@pytest.mark.parametrize("n_pages", [1, 4])
def test_the_limit_of_pixels_does_not_count_channels(n_pages, tmp_path, monkeypatch):
    image = RNG.integers(0, 4096, (n_pages, SIDE, SIDE, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE)
    assert (
        decode(tmp_path / "a.tif", (3 * n_pages, SIDE, SIDE)).pixels.shape[0] % 3 == 0
    )
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE // 3)
    with pytest.raises(Image.DecompressionBombError):
        decode(tmp_path / "a.tif", (3 * n_pages, SIDE, SIDE))


def test_a_packing_that_needs_the_extra_names_it(tmp_path, monkeypatch):
    image = RNG.integers(0, 4096, (SIDE, SIDE, 5), dtype=np.uint16)
    to_tiff(image, tmp_path / "a.tif", planarconfig="contig", compression="zstd")

    def fails(*given, **more):
        raise ValueError("<COMPRESSION.ZSTD: 50000> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", fails)
    with pytest.raises(NotReadError, match=r"'sklearn-byol\[tiff\]'"):
        decode(tmp_path / "a.tif", None)
