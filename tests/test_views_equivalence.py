"""Each part of a view equals torchvision's on the same image with the same numbers."""

import math

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from sklearn_byol.views import _colour, _filters, _geometry

SIZE = (24, 36)


@pytest.fixture
def images(generator):
    """Three RGB images of 24x36 pixels."""
    return torch.rand(3, 3, *SIZE, generator=generator)


@pytest.fixture
def smooth():
    """One image without edges, so that resampling twice hardly blurs it."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    waves = [0.5 + 0.4 * torch.sin(x / 9 + k) * torch.cos(y / 11 - k) for k in range(3)]
    return torch.stack(waves)[None]


def repeat(value, n=3):
    return torch.full((n,), float(value))


# Geometry


@pytest.mark.parametrize("degrees", [0, 7.5, -30, 90, 180])
def test_rotation(images, degrees):
    ours = _geometry.warp(images, _geometry.rotation_homographies(repeat(degrees)))
    theirs = tv.rotate(images, degrees, interpolation=tv.InterpolationMode.BILINEAR)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ("is_h", "is_v", "flip"),
    [
        (True, False, tv.horizontal_flip),
        (False, True, tv.vertical_flip),
        (False, False, tv.identity if hasattr(tv, "identity") else torch.clone),
    ],
)
def test_flips(images, is_h, is_v, flip):
    masks = torch.full((3,), is_h), torch.full((3,), is_v)
    ours = _geometry.warp(images, _geometry.flip_homographies(*masks), is_affine=True)
    torch.testing.assert_close(ours, flip(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("top", "left", "height", "width"),
    [(0, 0, 24, 36), (3, 5, 12, 18), (10, 0, 8, 20), (4, 30, 19, 6)],
)
def test_crop(images, top, left, height, width):
    # torchvision repeats the edge of the crop where we see the true neighbour, so the
    # outermost pixels of the view, half a pixel of the crop wide, are left out.
    centre = (left + (width - SIZE[1]) / 2, top + (height - SIZE[0]) / 2)
    boxes = torch.tensor([[*centre, width, height]] * 3, dtype=torch.float32)
    ours = _geometry.warp(images, _geometry.crop_homographies(boxes, SIZE))
    theirs = tv.resized_crop(images, top, left, height, width, SIZE, antialias=False)
    rows = math.ceil(SIZE[0] / height / 2)
    columns = math.ceil(SIZE[1] / width / 2)
    inner = slice(rows, -rows), slice(columns, -columns)
    torch.testing.assert_close(
        ours[..., *inner], theirs[..., *inner], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0], [36, 0], [36, 24], [0, 24]],
        [[3, 2], [33, 5], [30, 20], [1, 22]],
        [[0, 7], [35, 0], [28, 23], [6, 15]],
    ],
)
def test_perspective(images, corners):
    start = [[0, 0], [36, 0], [36, 24], [0, 24]]
    theirs = tv.perspective(images, start, corners)
    centred = torch.tensor(corners, dtype=torch.float32) - torch.tensor([18.0, 12.0])
    homographies = _geometry.perspective_homographies(
        centred[None].repeat(3, 1, 1), SIZE
    )
    ours = _geometry.warp(images, homographies)
    # torchvision solves for the coefficients in single precision.
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_composition_equals_the_parts_one_after_another(smooth):
    size = (48, 48)
    corners = torch.tensor([[[-22, -23], [23, -22], [21, 23], [-23, 22]]]).float()
    parts = [
        _geometry.perspective_homographies(corners, size),
        _geometry.rotation_homographies(repeat(8, 1)),
        _geometry.flip_homographies(torch.tensor([True]), torch.tensor([False])),
        _geometry.crop_homographies(torch.tensor([[2.0, -3, 30, 28]]), size),
    ]
    views = smooth
    for part in parts:
        views = _geometry.warp(views, part)
    composed = _geometry.warp(
        smooth, torch.linalg.multi_dot([p[0] for p in parts])[None]
    )
    # Four resamplings blur this image by less than 0.01; one does not.
    torch.testing.assert_close(composed, views, atol=0.01, rtol=0)


def test_affine_maps_need_no_division(images):
    homographies = _geometry.rotation_homographies(repeat(20))
    torch.testing.assert_close(
        _geometry.warp(images, homographies, is_affine=True),
        _geometry.warp(images, homographies),
        atol=1e-5,
        rtol=0,
    )


def test_what_lies_outside_is_black():
    white = torch.ones(1, 1, 9, 9)
    turned = _geometry.warp(white, _geometry.rotation_homographies(repeat(45, 1)))
    assert turned[0, 0, 0, 0] == 0
    assert turned[0, 0, 4, 4] == 1


def test_a_horizon_inside_the_view_is_finite(images):
    corners = torch.tensor([[[-0.1, -0.1], [18, -12], [18, 12], [-18, 12]]])
    homographies = _geometry.perspective_homographies(corners.repeat(3, 1, 1), SIZE)
    views = _geometry.warp(images, homographies)
    assert views.isfinite().all()
    assert views.min() >= 0
    assert views.max() <= 1 + 1e-5


def test_a_point_that_is_nowhere_is_black():
    # In the middle column this homography divides 0 by 0.
    homography = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]])
    view = _geometry.warp(torch.ones(1, 1, 5, 5), homography)
    assert (view[..., 2] == 0).all()


# Colour


def draws(**changes):
    """Draws that change nothing but what is named."""
    neutral = {
        "brightness": repeat(1),
        "contrast": repeat(1),
        "saturation": repeat(1),
        "hue": repeat(0),
        "order": torch.arange(4).repeat(3, 1),
        "is_gray": torch.zeros(3, dtype=torch.bool),
        "is_inverted": torch.zeros(3, dtype=torch.bool),
    }
    return _colour.ColourDraws(**{**neutral, **changes})


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_factors(images, name, factor):
    ours = _colour.apply_colour(images, draws(**{name: repeat(factor)}))
    theirs = getattr(tv, f"adjust_{name}")(images, factor)
    # torchvision's luma weights sum to 0.9999, ours to 1.
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_grayscale(images):
    ours = _colour.apply_colour(images, draws(is_gray=torch.ones(3, dtype=torch.bool)))
    theirs = tv.rgb_to_grayscale(images, num_output_channels=3)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_inversion(images):
    mask = torch.tensor([True, False, True])
    ours = _colour.apply_colour(images, draws(is_inverted=mask))
    torch.testing.assert_close(ours[mask], tv.invert(images[mask]))
    torch.testing.assert_close(ours[~mask], images[~mask])


@pytest.mark.parametrize(
    ("turns", "mean_limit"), [(0.0, 1e-6), (0.05, 0.05), (-0.1, 0.07), (1 / 3, 0.12)]
)
def test_hue_is_near_the_shift_in_hsv(images, turns, mean_limit):
    # Linear, so not the same: over random colours the mean distance is below 0.07 at
    # a tenth of a turn, the largest shift of the presets.
    ours = _colour.apply_colour(images, draws(hue=repeat(turns)))
    theirs = tv.adjust_hue(images, turns)
    assert (ours - theirs).abs().mean() < mean_limit


def test_hue_of_pure_colours_is_exact_at_a_third_of_a_turn():
    pure = torch.eye(3).reshape(3, 3, 1, 1).expand(3, 3, 2, 2).contiguous()
    ours = _colour.apply_colour(pure, draws(hue=repeat(1 / 3)))
    torch.testing.assert_close(ours, tv.adjust_hue(pure, 1 / 3), atol=1e-5, rtol=0)


def test_hue_leaves_gray_alone():
    gray = torch.rand(3, 1, 4, 4).expand(3, 3, 4, 4).contiguous()
    shifted = _colour.apply_colour(gray, draws(hue=repeat(0.23)))
    torch.testing.assert_close(shifted, gray, atol=1e-6, rtol=0)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_colours_in_any_order_equal_the_parts_one_after_another(images, order):
    # Between 0.3 and 0.7 nothing is clamped; clamping once, at the end, is where the
    # composition differs from torchvision's otherwise.
    images = 0.3 + 0.4 * images
    names, factors = ["brightness", "contrast", "saturation"], [0.9, 1.2, 0.7]
    theirs = images
    for index in order:
        theirs = getattr(tv, f"adjust_{names[index]}")(theirs, factors[index])
    theirs = tv.invert(tv.rgb_to_grayscale(theirs, num_output_channels=3))
    ours = _colour.apply_colour(
        images,
        draws(
            **{name: repeat(f) for name, f in zip(names, factors, strict=True)},
            order=torch.tensor([[*order, 3]] * 3),
            is_gray=torch.ones(3, dtype=torch.bool),
            is_inverted=torch.ones(3, dtype=torch.bool),
        ),
    )
    torch.testing.assert_close(ours, theirs, atol=5e-4, rtol=0)


@pytest.mark.parametrize("order", [[2, 3, 0, 1], [3, 2, 0, 1]])
def test_saturation_and_hue_come_in_the_order_that_was_drawn(images, order):
    images = 0.4 + 0.2 * images  # so that nothing is clamped in between
    parts = {2: {"saturation": repeat(0.3)}, 3: {"hue": repeat(0.2)}}
    ours = _colour.apply_colour(
        images, draws(**parts[2], **parts[3], order=torch.tensor([order] * 3))
    )
    one_by_one = images
    for index in order[:2]:
        one_by_one = _colour.apply_colour(one_by_one, draws(**parts[index]))
    torch.testing.assert_close(ours, one_by_one, atol=1e-5, rtol=0)


def test_gray_images_have_brightness_and_contrast():
    gray = torch.rand(3, 1, 6, 6)
    for name in ("brightness", "contrast"):
        ours = _colour.apply_colour(gray, draws(**{name: repeat(0.7)}))
        theirs = getattr(tv, f"adjust_{name}")(gray, 0.7)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_contrast_of_many_channels_blends_with_the_mean_of_all():
    images = torch.rand(3, 5, 6, 6)
    ours = _colour.apply_colour(images, draws(contrast=repeat(0.4)))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    torch.testing.assert_close(ours, 0.4 * images + 0.6 * mean)


# Filters


@pytest.mark.parametrize("sigma", [0.1, 0.8, 2.0])
def test_blur(images, sigma):
    ours = _filters.gaussian_blur(images, repeat(sigma))
    kernel = [2 * _filters.blur_radius(side) + 1 for side in (SIZE[1], SIZE[0])]
    torch.testing.assert_close(ours, tv.gaussian_blur(images, kernel, [sigma, sigma]))


def test_each_image_is_blurred_by_its_own_width(images):
    sigmas = torch.tensor([0.1, 1.0, 2.0])
    together = _filters.gaussian_blur(images, sigmas)
    for image, sigma, ours in zip(images, sigmas, together, strict=True):
        alone = _filters.gaussian_blur(image[None], sigma[None])[0]
        torch.testing.assert_close(ours, alone)


@pytest.mark.parametrize(
    ("side", "radius"), [(224, 11), (96, 5), (64, 3), (8, 1), (1, 0)]
)
def test_blur_reaches_a_twentieth_of_the_side(side, radius):
    assert _filters.blur_radius(side) == radius


def test_solarize(images):
    torch.testing.assert_close(_filters.solarize(images, 0.6), tv.solarize(images, 0.6))
