"""Draws follow torchvision's laws, in little memory and alike on a GPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomPerspective, RandomResizedCrop, v2

from sklearn_byol import RandomViews
from sklearn_byol.views import _colour, _geometry
from sklearn_byol.views._presets import Strengths

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
    return _colour.draw_colours(N, Strengths(**{**strengths, **changes}), generator)


def test_jitter_factors_follow_torchvisions_law():
    torch.manual_seed(0)
    jitter = v2.ColorJitter(0.4, 0.3, 1.5, 0.1)
    # In torchvision 0.20 the method has an underscore.
    draw = getattr(jitter, "make_params", None) or jitter._get_params
    theirs = [draw([]) for _ in range(N)]
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


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(6, 3, 40, 48, generator=generator)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_drawing_takes_the_memory_of_a_few_batches():
    """Peak of a process that draws, less that of one that does all but draw."""
    code = (
        "import resource, sys, torch; from sklearn_byol.views._pair import views_for;"
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


@pytest.mark.gpu
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
