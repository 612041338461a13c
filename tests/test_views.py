"""Laws of the draws, and RandomViews as its users meet it."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.base import clone
from torch import nn
from torchvision.transforms import RandomPerspective, RandomResizedCrop, v2

from sklearn_byol import RandomViews, ViewsWarning
from sklearn_byol.views import _colour, _geometry, views_for
from sklearn_byol.views._presets import PRESETS

N = 4000  # draws of ours and of torchvision's


def same_law(ours, theirs):
    """Kolmogorov-Smirnov at one in ten thousand; seeds are fixed."""
    assert stats.ks_2samp(np.asarray(ours), np.asarray(theirs)).pvalue > 1e-4


def same_rate(mask, probability):
    """A binomial bound at one in ten thousand."""
    n_drawn = int(mask.sum())
    assert stats.binomtest(n_drawn, len(mask), probability).pvalue > 1e-4


@pytest.fixture(scope="module")
def their_boxes():
    """torchvision's boxes on an image so large that rounding is not seen."""
    torch.manual_seed(0)
    image = torch.empty(1, 2000, 3000)
    crop = RandomResizedCrop(224)
    return np.array([crop.get_params(image, crop.scale, crop.ratio) for _ in range(N)])


@pytest.fixture(scope="module")
def our_boxes():
    generator = torch.Generator().manual_seed(0)
    size, scale, ratio = (2000, 3000), (0.08, 1.0), (3 / 4, 4 / 3)
    return _geometry.draw_boxes(N, size, scale, ratio, generator).numpy()


def test_crop_areas_follow_torchvisions_law(our_boxes, their_boxes):
    _, _, height, width = their_boxes.T
    same_law(our_boxes[:, 2] * our_boxes[:, 3], height * width)


def test_crop_ratios_follow_torchvisions_law(our_boxes, their_boxes):
    _, _, height, width = their_boxes.T
    same_law(our_boxes[:, 2] / our_boxes[:, 3], width / height)


def test_crop_places_follow_torchvisions_law(our_boxes, their_boxes):
    top, left, height, width = their_boxes.T
    same_law(our_boxes[:, 0] + 1500, left + width / 2)
    same_law(our_boxes[:, 1] + 1000, top + height / 2)


def test_crops_lie_inside_the_image(our_boxes):
    x, y, width, height = our_boxes.T
    assert (np.abs(x) + width / 2).max() <= 1500 + 1e-2
    assert (np.abs(y) + height / 2).max() <= 1000 + 1e-2


def test_a_crop_that_never_fits_is_the_largest_central_one(generator):
    boxes = _geometry.draw_boxes(5, (10, 100), (0.9, 1.0), (3 / 4, 4 / 3), generator)
    expected = torch.tensor([[0, 0, 10 * 4 / 3, 10]]).expand(5, 4)
    torch.testing.assert_close(boxes, expected)


def test_corners_follow_torchvisions_law(generator):
    torch.manual_seed(0)
    ours = _geometry.draw_corners(N, (2000, 3000), 0.4, generator)
    theirs = np.array(
        [RandomPerspective.get_params(3000, 2000, 0.4)[1][0] for _ in range(N)]
    )
    same_law(ours[:, 0, 0] + 1500, theirs[:, 0])
    same_law(ours[:, 0, 1] + 1000, theirs[:, 1])


def colour_draws(**changes):
    strengths = {
        "brightness": 0.4,
        "contrast": 0.3,
        "saturation": 1.5,
        "hue": 0.1,
        "jitter_probability": 1.0,
        "grayscale": 0.2,
        "inversion": 0.1,
    }
    generator = torch.Generator().manual_seed(0)
    return _colour.draw_colours(N, **{**strengths, **changes}, generator=generator)


def test_jitter_factors_follow_torchvisions_law():
    torch.manual_seed(0)
    jitter = v2.ColorJitter(0.4, 0.3, 1.5, 0.1)
    theirs = [jitter.make_params([]) for _ in range(N)]
    ours = colour_draws()
    for name in ("brightness", "contrast", "saturation", "hue"):
        same_law(getattr(ours, name), [drawn[f"{name}_factor"] for drawn in theirs])


def test_every_order_of_the_jitter_is_as_likely():
    orders = colour_draws().order.tolist()
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-4


def test_rates_are_the_probabilities():
    drawn = colour_draws(jitter_probability=0.8)
    same_rate(drawn.is_gray, 0.2)
    same_rate(drawn.is_inverted, 0.1)
    same_rate(drawn.brightness != 1, 0.8)
    assert ((drawn.brightness != 1) == (drawn.hue != 0)).all()


def half_and_half(n=N):
    """Images whose left half is black and whose right half is white."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(n, 1, 4, 4)


def test_flips_are_drawn_at_their_rate():
    off = {"rotation": 0, "crop_scale": (1, 1), "brightness": 0, "contrast": 0}
    views = RandomViews("gray", horizontal_flip=0.3, **off, random_state=0)
    same_rate(views.sample(half_and_half())[0][:, 0, 0, 0] > 0.5, 0.3)


@pytest.mark.parametrize(("view", "probability"), [(0, 0.9), (1, 0.25)])
@pytest.mark.parametrize("part", ["solarize", "blur"])
def test_filters_are_drawn_at_the_rate_of_each_view(part, view, probability):
    views = RandomViews(
        "jitter",
        brightness=0,
        contrast=0,
        **{part: (0.9, 0.25)},
        blur_sigma=(1, 2),
        random_state=0,
    )
    drawn = views.sample(half_and_half())[view]
    changed = (drawn - half_and_half()).abs().amax(dim=(1, 2, 3)) > 0.01
    same_rate(changed, probability)


def test_angles_are_uniform(generator):
    angles = _geometry.uniform((N,), -15, 15, generator).numpy()
    assert stats.kstest(angles, stats.uniform(-15, 30).cdf).pvalue > 1e-4


# RandomViews


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
    ("parameters", "error", "message"),
    [
        (
            {"preset": "paper"},
            ValueError,
            "preset must be one of 'auto', 'byol'.*paper",
        ),
        ({"preset": 3}, ValueError, "preset must be one of.*Got 3"),
        ({"crop_scale": (0.9, 0.2)}, ValueError, r"low end first.*\(0.2, 0.9\) may be"),
        ({"crop_scale": (0, 1)}, ValueError, "crop_scale must start above 0"),
        (
            {"crop_scale": (0.1, 2)},
            ValueError,
            r"crop_scale must be in \[0, 1\]. Got 2",
        ),
        ({"crop_scale": 0.5}, TypeError, r"two numbers, \(low, high\). Got 0.5"),
        ({"crop_scale": "wide"}, TypeError, "two numbers.*Got 'wide'"),
        ({"crop_ratio": (-1, 1)}, ValueError, "crop_ratio must be finite, 0 or more"),
        ({"horizontal_flip": 1.5}, ValueError, r"horizontal_flip must be in \[0, 1\]"),
        ({"vertical_flip": -0.1}, ValueError, r"vertical_flip must be in \[0, 1\]"),
        ({"rotation": 200}, ValueError, r"rotation must be in \[0, 180\]. Got 200"),
        ({"perspective": 1.1}, ValueError, r"perspective must be in \[0, 1\]"),
        ({"brightness": -1}, ValueError, "brightness must be finite, 0 or more"),
        ({"contrast": math.nan}, ValueError, "contrast must be finite"),
        ({"saturation": math.inf}, ValueError, "saturation must be finite"),
        ({"hue": 0.6}, ValueError, r"hue must be in \[0, 0.5\]. Got 0.6"),
        ({"hue": "much"}, TypeError, "hue must be a number. Got 'much'"),
        ({"grayscale": True}, TypeError, "grayscale must be a number. Got True"),
        ({"blur": (0.1, 0.2, 0.3)}, TypeError, "blur must be two numbers"),
        ({"blur": (0.1, 1.2)}, ValueError, r"blur must be in \[0, 1\]. Got 1.2"),
        ({"blur_sigma": (0, 2)}, ValueError, "blur_sigma must start above 0"),
        ({"solarize": 2}, ValueError, r"solarize must be in \[0, 1\]"),
        ({"solarize_threshold": 2}, ValueError, "solarize_threshold must be in"),
    ],
)
def test_strengths_outside_their_ranges_are_errors(images, parameters, error, message):
    with pytest.raises(error, match=message):
        RandomViews(**parameters).sample(images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 8, 8), r"shape \(n, n_channels, height, width\).*\(3, 8, 8\)"),
        (torch.rand(0, 3, 8, 8), "no empty axis"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "floats in .* Got torch.uint8"),
        (np.zeros((1, 3, 8, 8), dtype=np.uint8), "floats in .* Got torch.uint8"),
        (["a.png"], "images must be floats .* Got an array of <U5"),
        (torch.full((1, 3, 8, 8), 200.0), r"in \[0, 1\]. Got values from 200 to 200"),
        (torch.full((1, 3, 8, 8), -0.1), "Got values from -0.1"),
        (torch.full((1, 3, 8, 8), math.nan), "finite and in"),
    ],
)
def test_what_is_no_batch_of_images_is_an_error(images, message):
    with pytest.raises(ValueError, match=message):
        RandomViews().sample(images)


# Callables


def jitter_each(images):
    """A law that draws for each image, as kornia's modules do."""
    return images * torch.rand(len(images), 1, 1, 1)


def test_a_callable_draws_the_views(images, generator):
    pair, chosen = views_for(lambda batch: 1 - batch, (3, 40, 48))
    view_1, view_2 = pair(images, generator)
    torch.testing.assert_close(view_1, 1 - images)
    torch.testing.assert_close(view_2, 1 - images)
    assert callable(chosen)


def test_a_pair_draws_each_view_by_its_own_law(images, generator):
    pair, chosen = views_for(("safe", nn.Identity()), (3, 40, 48))
    view_1, view_2 = pair(images, generator)
    assert not torch.equal(view_1, images)
    assert torch.equal(view_2, images)
    assert chosen[0].preset == "safe"


def test_a_pair_of_presets_takes_the_first_and_the_second_view():
    pair, _ = views_for(("byol", "byol"), (3, 64, 64))
    assert [law.view for law in pair.laws] == [0, 1]


def test_a_transform_that_draws_once_a_batch_is_applied_image_by_image(generator):
    crop = v2.RandomResizedCrop(16, scale=(0.2, 0.9), antialias=True)
    same = torch.rand(1, 3, 16, 16).expand(6, 3, 16, 16)
    assert all(torch.equal(view, views[0]) for views in [crop(same)] for view in views)
    with pytest.warns(ViewsWarning, match="draws once for all images of a batch"):
        pair, _ = views_for(crop, (3, 16, 16))
    view_1, _ = pair(same, generator)
    assert len(torch.unique(view_1.sum(dim=(1, 2, 3)))) == 6


@pytest.mark.parametrize(
    "transform",
    [v2.RandomHorizontalFlip(0.1), v2.Compose([v2.RandomSolarize(0.5, 0.1)])],
)
def test_torchvisions_transforms_are_known_however_rarely_they_draw(transform):
    with pytest.warns(ViewsWarning, match="draws once for all images"):
        views_for(nn.Sequential(transform), (3, 8, 8))


def test_rare_draws_of_an_unknown_callable_are_seen():
    with pytest.warns(ViewsWarning, match="draws once for all images"):
        views_for(lambda batch: 1 - batch if torch.rand(()) < 0.1 else batch, (3, 8, 8))


def test_views_made_image_by_image_do_not_touch_the_batch(generator):
    images = torch.rand(3, 3, 16, 16)
    before = images.clone()
    with pytest.warns(ViewsWarning):
        pair, _ = views_for((v2.RandomErasing(1, inplace=True), "safe"), (3, 16, 16))
    pair(images, generator)
    assert torch.equal(images, before)


def test_a_callable_that_draws_for_each_image_is_called_on_batches(generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair, _ = views_for(jitter_each, (1, 8, 8))
    assert not pair.laws[0].is_per_image
    assert pair.draws_globally


def test_a_callable_cannot_change_the_images(images, generator):
    before = images.clone()
    pair, _ = views_for(lambda batch: batch.zero_(), (3, 40, 48))
    pair(images, generator)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("views", "error", "message"),
    [
        ("paper", ValueError, "views must be one of the presets 'auto', 'byol'"),
        (3, TypeError, "views must be a preset's name, a RandomViews.*Got 3"),
        (("byol",), ValueError, "A pair of views has 2 members. Got 1"),
        (lambda batch: batch[:, :1], ValueError, r"it returned \(4, 1, 8, 8\)"),
        (lambda batch: "view", ValueError, "it returned 'str'"),
        (lambda batch: (255 * batch).byte(), ValueError, "finite floats.*torch.uint8"),
        (lambda batch: batch / 0, ValueError, "must return finite floats"),
    ],
)
def test_views_that_are_none_are_errors(views, error, message):
    with pytest.raises(error, match=message):
        views_for(views, (3, 8, 8))


def test_drawing_takes_the_memory_of_a_few_batches():
    """Peak of a process that draws, less that of one that does all but draw."""
    code = (
        "import resource, sys, torch; from sklearn_byol.views import views_for;"
        "torch.set_num_threads(1);"
        "generator = torch.Generator().manual_seed(0);"
        "pair, _ = views_for('lab', (3, 192, 192));"
        "pair(torch.rand(2, 3, 192, 192), generator);"
        "images = torch.rand(96, 3, 192, 192);"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "views = pair(images, generator);"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print((after - before) * 1024 / images.nbytes)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    # Two of them are the views that are returned.
    assert float(told.stdout) < 7


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_the_same_for_the_same_numbers(images):
    boxes = _geometry.draw_boxes(
        6, (40, 48), (0.2, 1), (3 / 4, 4 / 3), torch.Generator().manual_seed(0)
    )
    on_cpu = _geometry.warp(images, _geometry.crop_homographies(boxes, (40, 48)))
    on_gpu = _geometry.warp(
        images.cuda(), _geometry.crop_homographies(boxes.cuda(), (40, 48))
    )
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-4, rtol=0)
    drawn = colour_draws()
    on_cpu = _colour.apply_colour(images, first_of(drawn, "cpu"))
    on_gpu = _colour.apply_colour(images.cuda(), first_of(drawn, "cuda"))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, atol=1e-4, rtol=0)


def first_of(drawn, device):
    """Draws of the first six images, on a device."""
    return _colour.ColourDraws(
        **{name: value[:6].to(device) for name, value in vars(drawn).items()}
    )
