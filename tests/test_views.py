"""RandomViews as its users meet it."""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_byol import RandomViews, ViewsWarning
from sklearn_byol.views._presets import PRESETS


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(6, 3, 40, 48, generator=generator)


@pytest.mark.parametrize("preset", ["auto", *PRESETS])
def test_presets_give_two_different_views_in_range(images, preset):
    before = images.clone()
    view_1, view_2 = RandomViews(preset, random_state=0).sample(images)
    assert view_1.shape == view_2.shape == images.shape
    assert not torch.equal(view_1, view_2)
    for view in (view_1, view_2):
        assert view.min() >= 0
        assert view.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("preset", ["auto", *PRESETS])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 12])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (2, 2), (7, 5), (8, 8), (33, 64), (512, 512)]
)
def test_every_size_and_number_of_channels(preset, n_channels, size):
    images = torch.rand(2, n_channels, *size) if size[0] < 512 else None
    if images is None:
        images = torch.rand(1, n_channels, 1, 1).expand(1, n_channels, *size)
    for view in RandomViews(preset, random_state=0).sample(images):
        assert view.isfinite().all()
        assert view.shape == images.shape
        assert view.min() >= 0
        assert view.max() <= 1


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_stay_finite(value):
    images = torch.full((4, 3, 16, 16), value)
    view_1, _ = RandomViews("lab", random_state=0).sample(images)
    assert view_1.isfinite().all()


def test_two_images_of_a_batch_get_different_draws(images):
    same = images[:1].expand(8, 3, 40, 48)
    view_1, _ = RandomViews("byol", random_state=0).sample(same)
    assert len(torch.unique(view_1.sum(dim=(1, 2, 3)))) == 8


def test_the_same_seed_gives_the_same_views(images):
    first = RandomViews("lab", random_state=3).sample(images)
    second = RandomViews("lab", random_state=3).sample(images)
    other = RandomViews("lab", random_state=4).sample(images)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_a_generator_goes_on_where_it_was(images, generator):
    views = RandomViews("lab")
    first, second = views.sample(images, generator), views.sample(images, generator)
    assert not torch.equal(first[0], second[0])


def test_global_random_state_is_not_used(images):
    before = torch.get_rng_state()
    RandomViews("byol", random_state=0).sample(images)
    assert torch.equal(torch.get_rng_state(), before)


def test_arrays_are_taken_as_well(images):
    array = images.double().numpy()
    views = RandomViews("safe", random_state=0)
    torch.testing.assert_close(views.sample(array)[0], views.sample(images)[0])
    array.flags.writeable = False
    mirrored = views.sample(array[..., ::-1])[0]
    torch.testing.assert_close(mirrored, views.sample(images.flip(-1))[0])


def test_byol_is_table_6_of_the_paper():
    chosen = RandomViews("byol").resolve((3, 224, 224))
    assert chosen.crop_scale == (0.08, 1.0)
    assert chosen.crop_ratio == (3 / 4, 4 / 3)
    assert chosen.horizontal_flip == 0.5
    jitter = chosen.brightness, chosen.contrast, chosen.saturation, chosen.hue
    assert jitter == (0.4, 0.4, 0.2, 0.1)
    assert chosen.jitter_probability == 0.8
    assert chosen.grayscale == 0.2
    assert chosen.blur == (1.0, 0.1)
    assert chosen.blur_sigma == (0.1, 2.0)
    assert chosen.solarize == (0.0, 0.2)
    assert chosen.solarize_threshold == 0.5


def test_presets_blur_above_32_pixels_only():
    assert RandomViews("byol").resolve((3, 32, 32)).blur == (0.0, 0.0)
    assert RandomViews("byol").resolve((3, 33, 33)).blur == (1.0, 0.1)
    assert RandomViews("byol", blur=0.3).resolve((3, 32, 32)).blur == (0.3, 0.3)


def test_safe_neither_crops_nor_turns():
    chosen = RandomViews("safe").resolve((3, 64, 64))
    assert chosen.crop_scale == (1.0, 1.0)
    assert chosen.rotation == 0
    assert min(chosen.inversion, chosen.perspective, chosen.horizontal_flip) > 0


def test_lab_has_all_seven():
    chosen = RandomViews("lab").resolve((3, 64, 64))
    assert chosen.crop_scale != (1.0, 1.0)
    for part in ("brightness", "grayscale", "horizontal_flip", "perspective"):
        assert getattr(chosen, part) > 0
    assert min(chosen.rotation, chosen.inversion) > 0


def test_digits_are_not_mirrored():
    chosen = RandomViews("digits").resolve((1, 28, 28))
    assert chosen.horizontal_flip == chosen.vertical_flip == 0


@pytest.mark.parametrize(
    ("shape", "preset"),
    [
        ((3, 32, 32), "natural"),
        ((1, 8, 8), "digits"),
        ((1, 28, 28), "gray"),
        ((5, 64, 64), "gray"),
        ((1, 1, 10), "jitter"),
        ((3, 4, 4), "jitter"),
    ],
)
def test_auto_chooses_by_side_and_channels(shape, preset):
    assert RandomViews().resolve(shape).preset == preset


def test_what_is_given_overrides_the_preset():
    chosen = RandomViews("byol", hue=0.0, crop_scale=[0.5, 0.9]).resolve((3, 64, 64))
    assert chosen.hue == 0
    assert chosen.crop_scale == (0.5, 0.9)
    assert chosen.contrast == 0.4


def test_strengths_are_parameters_of_scikit_learn():
    views = RandomViews("safe", hue=0.2)
    copied = clone(views).set_params(crop_scale=(0.3, 1))
    assert copied.get_params()["hue"] == 0.2
    assert views.crop_scale is None


@pytest.mark.parametrize("name", ["saturation", "hue", "grayscale"])
def test_colour_asked_for_by_name_is_told_without_rgb(name):
    gray = torch.rand(2, 1, 8, 8)
    with pytest.warns(ViewsWarning, match=f"{name} need RGB .* with 1 channels"):
        RandomViews("gray", **{name: 0.3}).sample(gray)


def test_colour_of_a_preset_is_left_out_silently_without_rgb():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RandomViews("byol").sample(torch.rand(2, 4, 40, 40))


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"preset": "paper"}, "a str among {.*'auto'"),
        ({"preset": 3}, "a str among {.*'byol'"),
        ({"crop_scale": (0.9, 0.2)}, "the low end first"),
        ({"crop_scale": (0, 1)}, r"in the range \(0.0, 1.0\]"),
        ({"crop_scale": (0.1, 2)}, r"in the range \(0.0, 1.0\]"),
        ({"crop_scale": 0.5}, r"two numbers \(low, high\)"),
        ({"crop_scale": "wide"}, r"two numbers \(low, high\)"),
        ({"crop_scale": (0.5, True)}, r"two numbers \(low, high\)"),
        ({"crop_ratio": (-1, 1)}, r"in the range \(0.0, 1000000.0\]"),
        ({"horizontal_flip": 1.5}, r"in the range \[0.0, 1.0\]"),
        ({"vertical_flip": -0.1}, r"in the range \[0.0, 1.0\]"),
        ({"rotation": 200}, r"in the range \[0.0, 180.0\]"),
        ({"perspective": 1.1}, r"in the range \[0.0, 1.0\]"),
        ({"brightness": -1}, r"in the range \[0.0, 1000000.0\]"),
        ({"contrast": math.nan}, r"in the range \[0.0, 1000000.0\]"),
        ({"saturation": math.inf}, r"in the range \[0.0, 1000000.0\]"),
        ({"hue": 0.6}, r"in the range \[0.0, 0.5\]"),
        ({"hue": "much"}, "a float"),
        ({"grayscale": True}, "a float"),
        ({"blur": (0.1, 0.2, 0.3)}, "a pair of numbers"),
        ({"blur": (0.1, 1.2)}, r"each a float in the range \[0.0, 1.0\]"),
        ({"blur_sigma": (0, 2)}, r"in the range \(0.0, 1000000.0\]"),
        ({"solarize": 2}, r"in the range \[0.0, 1.0\] or a pair of numbers"),
        ({"solarize_threshold": 2}, r"in the range \[0.0, 1.0\]"),
    ],
)
def test_strengths_outside_their_ranges_are_errors(images, parameters, rule):
    ((name, value),) = parameters.items()
    message = f"The '{name}' parameter of RandomViews must be .*{rule}"
    for draw in (RandomViews.sample, lambda views, _: views.resolve((3, 8, 8))):
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            draw(RandomViews(**parameters), images)
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 8, 8), r"shape \(n, n_channels, height, width\).*\(3, 8, 8\)"),
        (torch.rand(0, 3, 8, 8), "no empty axis"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "floats in .* Got torch.uint8"),
        (np.zeros((1, 3, 8, 8), dtype=np.uint8), "floats in .* Got torch.uint8"),
        (["a.png"], "images must be floats in one array: .*numpy.str_"),
        (torch.full((1, 3, 8, 8), 200.0), r"in \[0, 1\]. Got values from 200 to 200"),
        (torch.full((1, 3, 8, 8), -0.1), "Got values from -0.1"),
        (torch.full((1, 3, 8, 8), math.nan), "finite floats in .*values from nan"),
    ],
)
def test_what_is_no_batch_of_images_is_an_error(images, message):
    with pytest.raises(ValueError, match=message):
        RandomViews().sample(images)
