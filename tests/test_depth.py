"""Images keep their depth, and give one row in whatever container they come."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from sklearn_byol import UnreadableImagesError
from tests.conftest import Pairs, quick

RNG = np.random.default_rng(0)
SHAPE = (8, 12, 12)

DEPTHS = {
    "1 bit": RNG.integers(0, 2, SHAPE).astype(bool),
    "8 bits": RNG.integers(0, 256, SHAPE, dtype=np.uint8),
    "12 bits": RNG.integers(0, 4096, SHAPE, dtype=np.uint16),
    "16 bits": RNG.integers(0, 65536, SHAPE, dtype=np.uint16),
    "16 bits, signed": RNG.integers(-1000, 3000, SHAPE, dtype=np.int16),
    "32 bits": RNG.integers(-(10**6), 10**6, SHAPE, dtype=np.int32),
    "float": RNG.normal(size=SHAPE).astype(np.float32),
    "float in [0, 1]": RNG.random(SHAPE).astype(np.float32),
}


def written(X, folder, ending):
    for index, image in enumerate(X):
        if ending == ".npy":
            np.save(folder / f"{index}.npy", image)
        else:
            Image.fromarray(image).save(folder / f"{index}{ending}")
    return folder


def in_classes(X, folder):
    for index, image in enumerate(X):
        (folder / f"class {index // 4}").mkdir(exist_ok=True)
        np.save(folder / f"class {index // 4}" / f"{index}.npy", image)
    return folder


def mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", "r")


CONTAINERS = {
    "list": lambda X, folder: list(X),
    "tensor": lambda X, folder: torch.from_numpy(X),
    "Dataset": lambda X, folder: Pairs(list(X)),
    "memmap": mapped,
    "list of tensors": lambda X, folder: [torch.from_numpy(image) for image in X],
    "folders of classes": in_classes,
    "TensorDataset": lambda X, folder: TensorDataset(torch.from_numpy(X)),
    "rows": lambda X, folder: X.reshape(len(X), -1),
    "npy": lambda X, folder: written(X, folder, ".npy"),
    "PIL": lambda X, folder: [Image.fromarray(image) for image in X],
    "png": lambda X, folder: written(X, folder, ".png"),
    "tif": lambda X, folder: sorted(map(str, written(X, folder, ".tif").iterdir())),
}
NO_SUCH = {
    *(("16 bits, signed", c) for c in ("PIL", "png", "tif")),
    *((d, "png") for d in ("32 bits", "float", "float in [0, 1]")),
}


def pairs():
    for depth in DEPTHS:
        for container in CONTAINERS:
            if (depth, container) not in NO_SUCH:
                yield depth, container


@pytest.mark.parametrize(("depth", "container"), [*pairs()])
def test_one_image_is_one_row(depth, container, tmp_path):
    X = DEPTHS[depth]
    other = CONTAINERS[container](X, tmp_path)
    by_array, by_other = quick().fit(X), quick(image_shape=(12, 12)).fit(other)
    rows = by_array.transform(X)
    for byol, given in ((by_array, other), (by_other, X), (by_other, other)):
        np.testing.assert_allclose(byol.transform(given), rows, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_all_levels_of_16_bits_are_kept(form, tmp_path):
    X = np.arange(16 * 32 * 32, dtype=np.uint16).reshape(16, 32, 32)
    for index, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{index:02}.{form[:3].lower()}", form)
    byol = quick().fit(tmp_path)
    assert len(np.unique(byol.read_images(tmp_path))) == X.size


def test_16_bits_take_two_bytes_in_a_cache(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    X = DEPTHS["12 bits"]
    quick(cache=tmp_path / "cache").fit(written(X, folder, ".png"))
    (file,) = Path(tmp_path / "cache").glob("*.npy")
    assert np.load(file).dtype == np.uint16


def test_resized_images_keep_their_depth(tmp_path):
    X = np.kron(DEPTHS["12 bits"], np.ones((2, 2), np.uint16))
    byol = quick(image_shape=(12, 12)).fit(written(X, tmp_path, ".png"))
    by_array = quick(image_shape=(12, 12)).fit(list(X))
    expected = by_array.read_images(list(X))
    np.testing.assert_allclose(byol.read_images(tmp_path), expected, atol=1e-6)
    assert len(np.unique(expected)) > 500


def test_mixed_depths_are_refused_and_named(tmp_path):
    written(DEPTHS["8 bits"], tmp_path, ".png")
    Image.fromarray(DEPTHS["16 bits"][0]).save(tmp_path / "9.png")
    with pytest.raises(
        UnreadableImagesError,
        match=r"9\.png .* are uint16 where those of others are uint8",
    ):
        quick().fit(tmp_path)


def test_values_that_are_no_numbers_are_named(tmp_path):
    X = DEPTHS["float"].copy()
    X[3, 0, 0] = np.nan
    with pytest.raises(UnreadableImagesError, match=r"3\.tif .*not a number"):
        quick().fit(written(X, tmp_path, ".tif"))
