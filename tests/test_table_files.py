"""Hostile and damaged files: folders, lists of paths, caches and weights.

None hangs, leads out of its folder, runs a program or fills the memory.
"""

import gc
import io
import json
import os
import re
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sklearn_byol import UnreadableImagesError
from tests.conftest import Pairs, tiny

pytestmark = [
    pytest.mark.usefixtures("limited"),
    pytest.mark.filterwarnings("ignore::sklearn_byol.exceptions.CollapseWarning"),
]

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) (w) file\n"


# What Windows lacks, or not everybody may make there; its files take what they span.
OF_POSIX = re.compile("pipe|link|device|terabyte")


def marked(cases):
    """Mark the names of those cases that Windows cannot have."""
    of_posix = [pytest.mark.posix]
    return [
        pytest.param(name, marks=of_posix if OF_POSIX.search(name) else [])
        for name in cases
    ]


def filled(folder):
    """Make a folder of four images."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(PIXELS):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def chunk(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def png(width, height, *chunks):
    """A gray PNG without pixels, with further chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(b""))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def packed(n_bytes):
    return b"note\0\0" + zlib.compress(bytes(n_bytes))


def sparse_file(path):
    with path.open("wb") as file:
        file.truncate(2**40)


def to_elsewhere(path):
    path.symlink_to(filled(path.parent.parent / "elsewhere") / "0.png")


def pipe(path):
    os.mkfifo(path)
    return path


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../0.png", b"x")


NO_IMAGE = "it is not an image that Pillow can read"
OUT = "a link that leads out of the folder"

# What x.png in a folder of four images is, and what is said of it.
HOSTILE = {
    "pipe": (pipe, "it is not a regular file"),
    "link_to_a_device": (lambda path: path.symlink_to("/dev/zero"), OUT),
    "link_out": (to_elsewhere, OUT),
    "link_to_nothing": (
        lambda path: path.symlink_to(path.with_name("none")),
        "no such file",
    ),
    "link_to_itself": (lambda path: path.symlink_to(path), "its link leads to itself"),
    "empty": (lambda path: path.touch(), "it is empty"),
    "terabyte_of_nothing": (sparse_file, NO_IMAGE),
    "program_of_postscript": (lambda path: path.write_bytes(EPS), NO_IMAGE),
    "archive": (archive, NO_IMAGE),
    "huge_image": (
        lambda path: path.write_bytes(png(50_000, 50_000)),
        "MAX_IMAGE_PIXELS",
    ),
    "packed_text": (
        lambda path: path.write_bytes(png(8, 8, chunk(b"zTXt", packed(2**24)))),
        "more text than Pillow reads",
    ),
    "packed_profile": (
        lambda path: path.write_bytes(png(8, 8, chunk(b"iCCP", packed(2**24)))),
        "more text than Pillow reads",
    ),
    "many_packed_texts": (
        lambda path: path.write_bytes(
            png(8, 8, *[chunk(b"zTXt", packed(2**19))] * 200)
        ),
        "more text than Pillow reads",
    ),
    "no_pixels": (lambda path: path.write_bytes(png(8, 8)), "it is damaged or cut off"),
}


@pytest.mark.parametrize("name", marked(HOSTILE))
def test_a_hostile_file_in_a_folder_is_named_or_skipped(name, tmp_path):
    make, reason = HOSTILE[name]
    folder = filled(tmp_path / "images")
    make(folder / "x.png")
    with pytest.raises(UnreadableImagesError, match=r"1 of 5 .*x\.png \(") as caught:
        tiny().fit(folder)
    assert reason.lower() in str(caught.value).lower()
    byol = tiny(on_error="skip", max_epochs=0).fit(folder)
    assert byol.skipped_ == [str(folder / "x.png")]


@pytest.mark.posix
def test_a_device_in_a_folder_is_named(tmp_path):
    folder = filled(tmp_path)
    try:
        os.mknod(folder / "x.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except (OSError, AttributeError):
        pytest.skip("devices are for root")
    with pytest.raises(UnreadableImagesError, match="it is not a regular file"):
        tiny().fit(folder)


@pytest.mark.posix
def test_a_link_to_another_folder_is_named_and_not_followed(tmp_path):
    folder = filled(tmp_path / "images")
    (folder / "more").symlink_to(filled(tmp_path / "elsewhere"))
    with pytest.raises(UnreadableImagesError, match=rf"1 of 5 .*more \(it is {OUT}"):
        tiny().fit(folder)
    byol = tiny(on_error="skip", max_epochs=0).fit(folder)
    assert byol.files_ == [str(folder / f"{index}.png") for index in range(4)]


@pytest.mark.posix
def test_links_within_a_folder_and_a_linked_folder_are_read(tmp_path):
    folder = filled(tmp_path / "images" / "deep")
    (folder.parent / "4.png").symlink_to(folder / "0.png")
    (tmp_path / "link").symlink_to(folder.parent)
    assert len(tiny(max_epochs=0).fit(tmp_path / "link").files_) == 5


def test_a_folder_named_like_an_image_is_no_image(tmp_path):
    (filled(tmp_path) / "x.png").mkdir()
    assert len(tiny(max_epochs=0).fit(tmp_path).files_) == 4


@pytest.mark.posix
def test_a_list_of_paths_follows_links(tmp_path):
    to_elsewhere(filled(tmp_path / "images") / "x.png")
    paths = [str(tmp_path / "images" / name) for name in ("0.png", "x.png")]
    assert tiny(max_epochs=0).fit(paths).files_ == paths


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("/dev/zero", "it is not a regular file", marks=pytest.mark.posix),
        ("http://example.com/a.png", "there is no such file"),
        ("a\0b.png", "its path has a null character"),
        ("a" * 300, "its name is too long|there is no such file"),  # on Windows
        ("", "there is no such file"),
    ],
)
def test_a_path_that_is_no_image_is_named(path, reason):
    with pytest.raises(UnreadableImagesError, match=reason):
        tiny().fit([path] * 3)


@pytest.mark.filterwarnings("ignore::sklearn_byol.ImagesWarning")
@pytest.mark.parametrize(
    "strip", [np.zeros((1, 10**6), np.uint8), Image.new("L", (10**6, 1))]
)
def test_a_strip_is_not_blown_up(strip):
    """A million pixels in a row would be 64 million times 64 pixels high."""
    square = np.zeros((8, 8), np.uint8)
    if isinstance(strip, Image.Image):
        square = Image.fromarray(square)
    byol = tiny(image_shape=(64, 64), max_epochs=0).fit(Pairs([square, strip]))
    assert byol.read_images(Pairs([square, strip])).shape == (2, 1, 64, 64)


def test_an_image_without_pixels_is_named():
    with pytest.raises(UnreadableImagesError, match=r"X\[1\] \(it has no pixels"):
        tiny().fit([Image.new("L", (8, 8)), Image.new("L", (0, 8))])


# Caches


def swap_for_a_pipe(path):
    path.unlink()
    pipe(path)


def swap_for_a_link(path):
    other = path.with_name("other.npy")
    np.save(other, np.zeros((4, 1, 8, 8), np.uint8))
    path.unlink()
    path.symlink_to(other)


def swap_for_objects(path):
    np.save(path, np.array([{}] * 4, dtype=object), allow_pickle=True)


def noted(**changes):
    def change(path):
        notes = path.with_suffix(".json")
        notes.write_text(
            json.dumps(json.loads(notes.read_text(encoding="utf-8")) | changes),
            encoding="utf-8",
        )

    return change


SPOILED = {
    "pipe": swap_for_a_pipe,
    "notes_that_are_a_pipe": lambda path: swap_for_a_pipe(path.with_suffix(".json")),
    "link": swap_for_a_link,
    "objects": swap_for_objects,
    "other_shape": lambda path: np.save(path, np.zeros((4, 1, 9, 9), np.uint8)),
    "fewer_images": lambda path: np.save(path, np.zeros((2, 1, 8, 8), np.uint8)),
    "other_type": lambda path: np.save(path, np.zeros((4, 1, 8, 8), np.float32)),
    "notes_that_are_a_list": lambda path: path.with_suffix(".json").write_text(
        "[]", encoding="utf-8"
    ),
    "low_that_is_a_word": noted(low="dark"),
    "low_that_is_nan": noted(low=float("nan")),
    "failure_of_another_image": noted(failures={"99": "gone"}),
    "failures_that_are_a_list": noted(failures=[]),
}


@pytest.mark.parametrize("name", marked(SPOILED))
def test_a_spoiled_cache_is_decoded_again(name, tmp_path):
    files = sorted(str(path) for path in filled(tmp_path / "images").iterdir())
    expected = tiny().fit(files).transform(files)
    tiny(max_epochs=0, cache=tmp_path / "cache").fit(files)
    (path,) = (tmp_path / "cache").glob("byol-*.npy")
    gc.collect()  # Windows does not change a file that is mapped
    SPOILED[name](path)
    byol = tiny(cache=tmp_path / "cache").fit(files)
    np.testing.assert_array_equal(byol.transform(files), expected)


@pytest.mark.parametrize("cache", ["", "a\0b", __file__, f"{__file__}/folder"])
def test_a_cache_that_is_no_folder_is_an_error_that_names_it(cache, tmp_path):
    files = sorted(str(path) for path in filled(tmp_path / "images").iterdir())
    with pytest.raises(ValueError, match="cache"):
        tiny(cache=cache).fit(files)


# Weights


def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))


with torch.random.fork_rng():
    STATE = network().state_dict()


def mapped(function):
    return {name: function(tensor) for name, tensor in STATE.items()}


def saved(path, content):
    torch.save(content, path)
    return path


def written(path, content):
    path.write_bytes(content)
    return path


def raw(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def archive_bomb(path):
    """The state dict, and a sixteenth of a gigabyte of zeros, compressed."""
    with zipfile.ZipFile(io.BytesIO(raw(STATE))) as file:
        parts = {part.filename: file.read(part) for part in file.infolist()}
    top = next(iter(parts)).split("/")[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in (parts | {f"{top}/data/9": bytes(2**26)}).items():
            file.writestr(name, content)
    return path


HEADER = struct.pack("<Q", 2**62) + b"{}"

WEIGHTS = {
    "empty_path": (lambda path: "", "weights='' is no file"),
    "long_path": (lambda path: "a" * 5000, "is no file"),
    "null_byte": (lambda path: "a\0b", "is no file"),
    "address": (lambda path: "https://example.com/w.pth", "is no file"),
    "device": (lambda path: "/dev/zero", "is no file"),
    "pipe": (pipe, "is no file"),
    "empty": (lambda path: written(path, b""), "cannot be read as a state dict: EOF"),
    "page_of_the_web": (lambda path: written(path, b"<html>404"), "cannot be read"),
    "it is damaged or cut off": (
        lambda path: written(path, raw(STATE)[:-300]),
        "cannot be read",
    ),
    "module": (lambda path: saved(path, network()), "cannot be read"),
    "archive": (lambda path: archive(path) or path, "cannot be read"),
    "archive_bomb": (archive_bomb, "compressed archive of"),
    "no_state": (lambda path: saved(path, {}), "holds no state dict"),
    "tensor": (lambda path: saved(path, torch.zeros(3)), "holds no state dict"),
    "numbers_for_names": (lambda path: saved(path, {0: torch.zeros(3)}), "not fit"),
    "nan": (lambda path: saved(path, mapped(lambda t: t * torch.nan)), "not a number"),
    "complex": (lambda path: saved(path, mapped(lambda t: t + 0j)), "or complex"),
    "meta": (
        lambda path: saved(path, mapped(lambda t: t.to("meta"))),
        "without values",
    ),
    "other_shape": (lambda path: saved(path, mapped(lambda t: t[:2])), "not fit"),
    "not_safetensors": (
        lambda path: written(path.with_suffix(".safetensors"), b"x" * 100),
        "is damaged",
    ),
    "huge_header": (
        lambda path: written(path.with_suffix(".safetensors"), HEADER),
        "is damaged",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("name", marked(WEIGHTS))
def test_weights_that_are_none_are_an_error_that_names_them(name, tmp_path):
    make, words = WEIGHTS[name]
    with pytest.raises(ValueError, match="weights=") as caught:
        tiny(encoder=network, weights=make(tmp_path / "w.pth")).fit(PIXELS)
    assert words in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_floats_are_taken_as_float32(dtype, tmp_path):
    path = saved(tmp_path / "w.pth", mapped(lambda tensor: tensor.to(dtype)))
    byol = tiny(encoder=network, weights=path, max_epochs=0).fit(PIXELS)
    for name, tensor in byol.encoder_.network.state_dict().items():
        assert torch.equal(tensor, STATE[name].to(dtype).float())


def test_weights_of_a_larger_network_of_the_same_names_are_an_error(tmp_path):
    models = pytest.importorskip("torchvision").models
    with torch.random.fork_rng():
        path = saved(tmp_path / "w.pth", models.resnet50().state_dict())
    images = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="does not fit the encoder: layer1"):
        tiny(encoder="resnet18", weights=path).fit(images)
