"""What RandomViews refuses, beside the ranges of its strengths."""

import numpy as np
import pytest
import torch

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
    "ragged_list": (
        lambda: sample([[1.0], [1.0, 2.0]]),
        "images must be floats in one array: ",
    ),
    "sparse_tensor": (
        lambda: sample(IMAGES.to_sparse()),
        "images must be a dense tensor with values. Got",
    ),
    "complex_array": (
        lambda: sample(ARRAY + 0j),
        "images must be finite floats in [0, 1]. Got torch.complex64;",
    ),
    "bools": (
        lambda: sample(IMAGES > 0.5),
        "images must be finite floats in [0, 1]. Got torch.bool; divide",
    ),
    "masked": (
        lambda: sample(np.ma.masked_greater(ARRAY, 0.5)),
        "images must not have masked values. Pass",
    ),
    "one_image": (
        lambda: sample(IMAGES[0]),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "infinite": (
        lambda: sample(spoiled(torch.inf)),
        "images must be finite floats in [0, 1]. Got values from",
    ),
    "negative": (
        lambda: sample(spoiled(-1e-3)),
        "images must be finite floats in [0, 1]. Got values from",
    ),
    "generator_that_is_a_seed": (
        lambda: sample(generator=3),
        "generator must be a torch.Generator, or None to draw by",
    ),
    "negative_seed": (
        lambda: sample(random_state=-1),
        "The 'random_state' parameter of RandomViews must be an",
    ),
    "preset_list": (
        lambda: sample(preset=["byol"]),
        "The 'preset' parameter of RandomViews must be a str among",
    ),
    "empty_range": (
        lambda: sample(crop_scale=()),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "range_of_words": (
        lambda: sample(crop_scale=("a", "b")),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "range_with_nan": (
        lambda: sample(crop_scale=(0.5, torch.nan)),
        "The 'crop_scale' parameter of RandomViews must be two",
    ),
    "infinite_ratio": (
        lambda: sample(crop_ratio=(1, torch.inf)),
        "The 'crop_ratio' parameter of RandomViews must be two",
    ),
    "angle_beyond_floats": (
        lambda: sample(rotation=10**400),
        "The 'rotation' parameter of RandomViews must be a float",
    ),
    "shape_of_two": (
        lambda: resolve(8, 8),
        "image_shape must be (n_channels, height, width), whole",
    ),
    "shape_with_zero": (
        lambda: resolve(3, 0, 8),
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
