"""Files of more than 8 bits a channel are read whole, or what is lost is said."""

import io
import struct
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

from sklearn_byol import UnreadableImagesError
from sklearn_byol.exceptions import ImagesWarning
from sklearn_byol.images._decode import decode
from tests.conftest import quick

RNG = np.random.default_rng(0)
N_IMAGES, SIDE = 4, 16
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of PNG, by the number of channels


def png(image):
    """Encode an image (height, width, n_channels) of 16 bits, which Pillow cannot."""

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width, n_channels = image.shape
    about = (width, height, 16, COLOUR_TYPES[n_channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", *about)),
        (b"IDAT", zlib.compress(rows)),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in [*chunks, (b"IEND", b"")])


def ppm(image, most=65535, *, is_plain=False):
    height, width, n_channels = image.shape
    kind = {(1, False): 5, (3, False): 6, (1, True): 2, (3, True): 3}
    head = f"P{kind[n_channels, is_plain]}\n{width} {height}\n{most}\n".encode()
    if is_plain:
        return head + b"# a word\n" + b" ".join(b"%d" % one for one in image.ravel())
    return head + image.astype(">u2" if most > 255 else np.uint8).tobytes()


def tiff(image):
    file = io.BytesIO()
    tifffile.imwrite(file, image, photometric="rgb" if image.shape[2] == 3 else 1)
    return file.getvalue()


def images(n_channels, most=65535):
    shape = (N_IMAGES, SIDE, SIDE, n_channels)
    return RNG.integers(0, most + 1, shape, dtype=np.uint16)


WHOLE = {
    "colour in PNG": (png, images(3)),
    "gray in PNG": (png, images(1)),
    "colour in TIFF": (tiff, images(3)),
    "colour in PPM": (ppm, images(3)),
    "gray in PGM": (ppm, images(1)),
    "12 bits in PGM": (lambda image: ppm(image, 4095), images(1, 4095)),
    "12 bits in PPM": (lambda image: ppm(image, 4095), images(3, 4095)),
    "words in PGM": (lambda image: ppm(image, 4095, is_plain=True), images(1, 4095)),
    "words in PPM": (lambda image: ppm(image, 4095, is_plain=True), images(3, 4095)),
    "digits of 4 bits in PGM": (
        lambda image: ppm(image, 15),
        images(1, 15).astype(np.uint8),
    ),
    "colour in JPEG 2000": (
        lambda image: imagecodecs.jpeg2k_encode(image, level=0),
        images(3),
    ),
    "gray in JPEG 2000": (
        lambda image: imagecodecs.jpeg2k_encode(image[..., 0], level=0),
        images(1),
    ),
    "12 bits in JPEG 2000": (
        lambda image: imagecodecs.jpeg2k_encode(
            image[..., 0], level=0, bitspersample=12
        ),
        images(1, 4095),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_gives_the_row_of_its_array(name, tmp_path):
    encode, X = WHOLE[name]
    for index, image in enumerate(X):
        (tmp_path / f"{index}.png").write_bytes(encode(image))
    by_array, by_file = quick().fit(X), quick().fit(tmp_path)
    assert by_file.image_shape_ == (X.shape[3], SIDE, SIDE)
    rows = by_array.transform(X)
    for byol, given in ((by_array, tmp_path), (by_file, X), (by_file, tmp_path)):
        np.testing.assert_allclose(byol.transform(given), rows, rtol=1e-4, atol=1e-5)
    pixels = decode(tmp_path / "0.png", None).pixels
    assert pixels.dtype == X.dtype
    np.testing.assert_array_equal(pixels, X[0].transpose(2, 0, 1))


@pytest.mark.parametrize("n", [2, 4])
def test_an_alpha_of_16_bits_lies_over_white_unless_it_is_asked_for(n, tmp_path):
    (image,) = images(n)[:1]
    (tmp_path / "a.png").write_bytes(png(image))
    found = decode(tmp_path / "a.png", None).pixels
    colour, alpha = image[..., :-1] / 65535, image[..., -1:] / 65535
    expected = (colour * alpha + 1 - alpha).transpose(2, 0, 1)
    np.testing.assert_allclose(found / 65535, expected, atol=1e-4)
    whole = decode(tmp_path / "a.png", (n, SIDE, SIDE)).pixels
    np.testing.assert_array_equal(whole, image.transpose(2, 0, 1))


@pytest.mark.parametrize("form", ["png", "jp2"])
def test_what_is_narrowed_is_said_once_with_its_levels(form, tmp_path, monkeypatch):
    for index, image in enumerate(images(3)):
        encoded = imagecodecs.jpeg2k_encode(image, level=0)
        content = {"png": png(image), "jp2": encoded}[form]
        (tmp_path / f"{index}.{form}").write_bytes(content)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    words = "4 of 4 images have more than 8 bits .* of 65,536 levels 256 are left"
    with pytest.warns(ImagesWarning, match=words) as told:
        quick(max_epochs=2).fit(tmp_path)
    assert sum("levels" in str(one.message) for one in told) == 1


def test_a_truncated_file_is_named(tmp_path):
    for name, content in {
        "a.png": png(images(3)[0]),
        "b.ppm": ppm(images(3)[0]),
    }.items():
        (tmp_path / name).write_bytes(content[:400])
    with pytest.raises(UnreadableImagesError, match=r"2 of 2 .*it is damaged or cut"):
        quick().fit(tmp_path)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_animations_have_two_readings(form, tmp_path):
    frames = [
        Image.fromarray(image)
        for image in RNG.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    ]
    for index in range(2):
        path = tmp_path / f"{index}.{form.lower()}"
        frames[0].save(path, form, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImagesError, match=r"5 frames, .* one image or many"):
        quick().fit(tmp_path)
    with Image.open(path) as picture:
        assert quick().fit(ImageSequence.all_frames(picture)).image_shape_[1] == SIDE
        assert quick().fit([picture] * 2).image_shape_[1] == SIDE


def test_a_preview_in_a_photograph_is_no_second_image(tmp_path):
    photo, preview = (
        Image.fromarray(RNG.integers(0, 256, (side, side, 3), dtype=np.uint8))
        for side in (16, 8)
    )
    for index in range(2):
        path = tmp_path / f"{index}.mpo"
        photo.save(path, "MPO", save_all=True, append_images=[preview])
    assert quick().fit(tmp_path).image_shape_ == (3, 16, 16)


def to_sgi(picture, path):
    picture.save(path, "SGI", bpc=2)


def to_avif(picture, path):
    deep = np.asarray(picture).astype(np.uint16) << 2
    path.write_bytes(imagecodecs.avif_encode(deep, bitspersample=10))


@pytest.mark.parametrize(("write", "n"), [(to_sgi, "65,536"), (to_avif, "1,024")])
def test_depths_that_pillow_does_not_tell_are_found(write, n, tmp_path):
    Image.init()
    if write is to_avif and "AVIF" not in Image.ID:
        pytest.skip("Pillow reads AVIF from 11.3 on")
    for index in range(2):
        picture = Image.fromarray(RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        write(picture, tmp_path / f"{index}.png")
    with pytest.warns(ImagesWarning, match=f"2 of 2 .* of {n} levels 256 are left"):
        quick().fit(tmp_path)


def test_gray_with_an_alpha_is_gray_at_every_depth(tmp_path):
    Image.new("LA", (SIDE, SIDE), (9, 255)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(images(2)[0]))
    for name in ("a.png", "b.png"):
        assert decode(tmp_path / name, None).pixels.shape == (1, SIDE, SIDE)


@pytest.mark.parametrize("encode", [png, tiff])
def test_pictures_that_pillow_has_narrowed_are_told_of(encode):
    X = [Image.open(io.BytesIO(encode(image))) for image in images(3)]
    with pytest.warns(ImagesWarning, match="4 of 4 .* of 65,536 levels 256 are left"):
        quick().fit(X)


@pytest.mark.parametrize("n_bands", [2, 4, 5])
def test_pictures_of_which_pillow_has_dropped_bands_are_refused(n_bands, tmp_path):
    image = RNG.integers(0, 256, (SIDE, SIDE, n_bands), dtype=np.uint8)
    n_colours = 1 if n_bands == 2 else 3
    how = {"photometric": "rgb" if n_colours == 3 else 1, "planarconfig": "contig"}
    extra = [0] * (n_bands - n_colours)
    tifffile.imwrite(tmp_path / "a.tif", image, extrasamples=extra, **how)
    words = rf"it has {n_bands} bands, of which Pillow gives {n_colours}; pass its path"
    with Image.open(tmp_path / "a.tif") as picture:
        for _ in range(2):
            with pytest.raises(UnreadableImagesError, match=words):
                quick().fit([picture] * 2)
            picture.load()
    assert quick().fit([tmp_path / "a.tif"] * 2).image_shape_[0] == n_bands
