"""What RandomViews refuses, beside the ranges of its strengths."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from sklearn_byol import RandomViews

pytestmark = pytest.mark.usefixtures("limited")

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ARRAY = IMAGES.numpy()


def sample(images=IMAGES, generator=None, **parameters):
    return RandomViews(**parameters).sample(images, generator)


def spoiled(value):
    images = IMAGES.clone()
    images[-1, -1, -1, -1] = value
    return images


def resolve(*image_shape):
    return RandomViews().resolve(image_shape)


REFUSED = {
    "no_images": (
        lambda: sample(None),
        "images must be floats in one array: ",
    ),
    "number": (
        lambda: sample(3),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "path": (
        lambda: sample("image.png"),
        "images must be floats in one array: ",
    ),
    "empty_list": (
        lambda: sample([]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "ragged_list": (
        lambda: sample([[1.0], [1.0, 2.0]]),
        "images must be floats in one array: ",
    ),
    "objects": (
        lambda: sample(np.array([None] * 3)),
        "images must be floats in one array: ",
    ),
    "frame": (
        lambda: sample(pd.DataFrame([[0.1]])),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "sparse_array": (
        lambda: sample(sparse.csr_array(ARRAY[0, 0])),
        "images must be floats in one array: ",
    ),
    "complex_tensor": (
        lambda: sample(IMAGES + 0j),
        "images must be floats in [0, 1]. Got torch.complex64;",
    ),
    "complex_array": (
        lambda: sample(ARRAY + 0j),
        "images must be floats in [0, 1]. Got torch.complex64;",
    ),
    "bools": (
        lambda: sample(IMAGES > 0.5),
        "images must be floats in [0, 1]. Got torch.bool; divide",
    ),
    "uint16": (
        lambda: sample(np.zeros((2, 3, 8, 8), np.uint16)),
        "images must be floats in [0, 1]. Got torch.uint16; divide",
    ),
    "structured": (
        lambda: sample(np.zeros((2, 3, 8, 8), [("a", float)])),
        "images must be floats in one array: ",
    ),
    "dates": (
        lambda: sample(np.zeros((2, 3, 8, 8), "datetime64[s]")),
        "images must be floats in one array: ",
    ),
    "masked": (
        lambda: sample(np.ma.masked_greater(ARRAY, 0.5)),
        "images must not have masked values. Pass",
    ),
    "one_image": (
        lambda: sample(IMAGES[0]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "rows": (
        lambda: sample(IMAGES.flatten(1)),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "five_axes": (
        lambda: sample(IMAGES[None]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "no_channels": (
        lambda: sample(IMAGES[:, :0]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "no_height": (
        lambda: sample(IMAGES[:, :, :0]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "infinite": (
        lambda: sample(spoiled(torch.inf)),
        "images must be finite and in [0, 1]. Got values from",
    ),
    "nan_in_the_last_image": (
        lambda: sample(spoiled(torch.nan)),
        "images must be finite and in [0, 1]. Got values from nan",
    ),
    "barely_above_one": (
        lambda: sample(spoiled(1.0001)),
        "images must be finite and in [0, 1]. Got values from",
    ),
    "negative": (
        lambda: sample(spoiled(-1e-3)),
        "images must be finite and in [0, 1]. Got values from",
    ),
    "generator_of_numpy": (
        lambda: sample(generator=np.random.default_rng(0)),
        "generator must be a torch.Generator, or None to draw by",
    ),
    "generator_that_is_a_seed": (
        lambda: sample(generator=3),
        "generator must be a torch.Generator, or None to draw by",
    ),
    "seed_that_is_a_word": (
        lambda: sample(random_state="seed"),
        "The 'random_state' parameter of RandomViews must be an",
    ),
    "negative_seed": (
        lambda: sample(random_state=-1),
        "The 'random_state' parameter of RandomViews must be an",
    ),
    "seed_that_is_a_float": (
        lambda: sample(random_state=0.5),
        "The 'random_state' parameter of RandomViews must be an",
    ),
    "seed_of_numpy": (
        lambda: sample(random_state=np.random.default_rng(0)),
        "The 'random_state' parameter of RandomViews must be an",
    ),
    "preset_list": (
        lambda: sample(preset=["byol"]),
        "The 'preset' parameter of RandomViews must be a str among",
    ),
    "no_preset": (
        lambda: sample(preset=None),
        "The 'preset' parameter of RandomViews must be a str among",
    ),
    "empty_range": (
        lambda: sample(crop_scale=()),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "one_end": (
        lambda: sample(crop_scale=(1,)),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "range_of_words": (
        lambda: sample(crop_scale=("a", "b")),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "range_with_none": (
        lambda: sample(crop_scale=(None, 1)),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "range_with_nan": (
        lambda: sample(crop_scale=(0.5, torch.nan)),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "set_for_a_range": (
        lambda: sample(crop_scale={0.2, 1.0}),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "tensor_for_a_range": (
        lambda: sample(crop_scale=torch.tensor([0.2, 1])),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "infinite_ratio": (
        lambda: sample(crop_ratio=(1, torch.inf)),
        "The 'crop_ratio' parameter of RandomViews must be two",
    ),
    "complex_probability": (
        lambda: sample(horizontal_flip=0.5j),
        "The 'horizontal_flip' parameter of RandomViews must be",
    ),
    "array_for_a_number": (
        lambda: sample(horizontal_flip=np.array(0.5)),
        "The 'horizontal_flip' parameter of RandomViews must be",
    ),
    "range_of_angles": (
        lambda: sample(rotation=(0, 10)),
        "The 'rotation' parameter of RandomViews must be a float",
    ),
    "angle_beyond_floats": (
        lambda: sample(rotation=10**400),
        "The 'rotation' parameter of RandomViews must be a float",
    ),
    "brightness_beyond_float32": (
        lambda: sample(brightness=1e308),
        "The 'brightness' parameter of RandomViews must be a",
    ),
    "sigma_beyond_float32": (
        lambda: sample(blur_sigma=(1, 1e300)),
        "The 'blur_sigma' parameter of RandomViews must be two",
    ),
    "one_blur_of_two": (
        lambda: sample(blur=(0.5,)),
        "The 'blur' parameter of RandomViews must be None, a",
    ),
    "threshold_nan": (
        lambda: sample(solarize_threshold=torch.nan),
        "The 'solarize_threshold' parameter of RandomViews must",
    ),
    "shape_of_two": (
        lambda: resolve(8, 8),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_of_four": (
        lambda: resolve(3, 8, 8, 8),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_of_words": (
        lambda: resolve("a", "b", "c"),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_of_floats": (
        lambda: resolve(3.0, 8.0, 8.0),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_with_zero": (
        lambda: resolve(3, 0, 8),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_that_is_none": (
        lambda: RandomViews().resolve(None),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "unknown_strength": (
        lambda: RandomViews().set_params(strength=3),
        "Invalid parameter 'strength' for estimator RandomViews().",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_views_that_cannot_be_drawn_are_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)


TAKEN = {
    "list_of_tensors": lambda: list(IMAGES),
    "nested_lists": IMAGES.tolist,
    "with_gradient": lambda: IMAGES.clone().requires_grad_(),
    "double": IMAGES.double,
    "byte_swapped": lambda: ARRAY.astype(ARRAY.dtype.newbyteorder()),
    "negative_strides": lambda: ARRAY[:, :, ::-1].copy()[:, :, ::-1],
    "long_doubles": lambda: ARRAY.astype(np.longdouble),
    "mask_without_masked_values": lambda: np.ma.array(ARRAY),
    "channels_last_in_memory": lambda: IMAGES.to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("name", TAKEN)
def test_other_layouts_of_the_same_images_give_the_same_views(name):
    expected = RandomViews(random_state=0).sample(IMAGES)
    for view, other in zip(
        RandomViews(random_state=0).sample(TAKEN[name]()), expected, strict=True
    ):
        torch.testing.assert_close(view.detach(), other)


@pytest.mark.parametrize(
    "parameters",
    [
        {"crop_ratio": (1e-5, 1e5)},
        {"crop_scale": (1e-300, 1e-300)},
        {"contrast": 1e6},
        {"blur_sigma": (1e-300, 1e-300), "blur": 1},
        {"blur_sigma": (1e6, 1e6), "blur": 1},
        {"perspective": 1.0, "perspective_probability": 1.0, "rotation": 180},
    ],
)
def test_extreme_strengths_stay_finite(parameters):
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    for view in RandomViews(random_state=0, **parameters).sample(images):
        assert view.min() >= 0
        assert view.max() <= 1
