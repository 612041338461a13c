"""What a view is made of, seen through RandomViews.sample and nothing else."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional as tv

from sklearn_byol import RandomViews
from sklearn_byol.views import _draw, _geometry
from sklearn_byol.views._presets import Strengths

N = 3000


def first_views(images, **strengths):
    """View 1 of images under nothing but these strengths."""
    off = {"brightness": 0.0, "contrast": 0.0}
    return RandomViews("jitter", **{**off, **strengths}, random_state=0).sample(images)[
        0
    ]


def same_rate(mask, probability):
    assert stats.binomtest(int(mask.sum()), len(mask), probability).pvalue > 1e-4


def ramps(n=N, side=9):
    """Channel 0 is x, channel 1 is y, both from 0 to 1 between the outermost pixels."""
    line = torch.linspace(0, 1, side)
    x, y = line.expand(side, side), line[:, None].expand(side, side)
    return torch.stack([x, y]).expand(n, 2, side, side)


def flat(value, n=N):
    """Images of one colour."""
    return torch.tensor(value).reshape(1, -1, 1, 1).expand(n, len(value), 2, 2)


def test_vertical_flips_are_drawn_at_their_rate():
    views = first_views(ramps(), vertical_flip=0.3)
    same_rate(views[:, 1, 0, 0] > 0.5, 0.3)
    assert (views[:, 0, 0, 0] < 0.5).all()


def test_crops_have_the_areas_and_ratios_asked_for():
    views = first_views(ramps(side=33), crop_scale=(0.3, 0.5), crop_ratio=(0.9, 1.1))
    inner = slice(8, -8)  # away from what lies outside
    steps_x = (views[:, 0, 16, inner].diff(dim=1) * 32).mean(dim=1)
    steps_y = (views[:, 1, inner, 16].diff(dim=1) * 32).mean(dim=1)
    areas, ratios = steps_x * steps_y, steps_x / steps_y
    assert stats.kstest(areas.numpy(), stats.uniform(0.3, 0.2).cdf).pvalue > 1e-4
    low, width = math.log(0.9), math.log(1.1 / 0.9)
    law = stats.uniform(low, width)
    assert stats.kstest(np.log(ratios.numpy()), law.cdf).pvalue > 1e-4


def test_angles_reach_the_limit_both_ways():
    views = first_views(ramps(side=33), rotation=25)
    across = views[:, 0, 16, 17] - views[:, 0, 16, 15]
    down = views[:, 0, 17, 16] - views[:, 0, 15, 16]
    angles = torch.rad2deg(torch.atan2(down, across)).numpy()
    assert stats.kstest(angles, stats.uniform(-25, 50).cdf).pvalue > 1e-4


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_perspectives_are_drawn_at_their_rate(probability):
    views = first_views(
        ramps(500), perspective=0.5, perspective_probability=probability
    )
    changed = (views - ramps(500)).abs().amax(dim=(1, 2, 3)) > 1e-3
    same_rate(changed, probability)


@pytest.mark.parametrize("probability", [0.0, 0.4, 1.0])
def test_jitter_is_drawn_at_its_rate(probability):
    views = first_views(
        flat([0.3, 0.4, 0.5]), brightness=0.9, jitter_probability=probability
    )
    same_rate((views[:, 0, 0, 0] - 0.3).abs() > 1e-5, probability)


def test_brightness_factors_are_uniform():
    views = first_views(flat([0.5]), brightness=0.4, jitter_probability=1)
    law = stats.uniform(0.3, 0.4)
    assert stats.kstest(views[:, 0, 0, 0].numpy(), law.cdf).pvalue > 1e-4


def test_grayscale_is_drawn_at_its_rate():
    views = first_views(flat([0.2, 0.4, 0.9]), grayscale=0.25)
    same_rate((views[:, 0, 0, 0] - views[:, 2, 0, 0]).abs() < 1e-5, 0.25)


def test_inversion_is_drawn_at_its_rate():
    views = first_views(flat([0.2]), inversion=0.35)
    same_rate((views[:, 0, 0, 0] - 0.8).abs() < 1e-5, 0.35)


@pytest.mark.parametrize("name", ["hue", "saturation", "contrast"])
def test_each_part_of_the_jitter_changes_images(name):
    images = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    views = first_views(images, **{name: 0.4}, jitter_probability=1)
    assert ((views - images).abs().amax(dim=(1, 2, 3)) > 1e-3).float().mean() > 0.9
    luma = tv.rgb_to_grayscale(images), tv.rgb_to_grayscale(views)
    if name == "saturation":  # it moves colours along lines of equal gray
        unclamped = ((views > 0) & (views < 1)).all(dim=1, keepdim=True)
        difference = (luma[0] - luma[1]).abs()[unclamped]
        assert difference.max() < 1e-3


def test_solarize_inverts_from_its_threshold_on():
    views = first_views(flat([0.2, 0.3, 0.6]), solarize=1, solarize_threshold=0.3)
    expected = torch.tensor([0.2, 0.7, 0.4])
    torch.testing.assert_close(views[0, :, 0, 0], expected)


@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_blur_has_the_sigma_asked_for(sigma):
    images = torch.rand(3, 1, 64, 64)
    views = first_views(images, blur=1, blur_sigma=(sigma, sigma))
    expected = tv.gaussian_blur(images, [7, 7], [sigma, sigma])
    torch.testing.assert_close(views, expected)


def test_blur_of_white_stays_in_range():
    white = torch.ones(20, 3, 64, 64)
    assert first_views(white, blur=1).max() <= 1


def test_geometry_equals_its_parts_one_after_another():
    """The parts in the documented order, with the numbers that the view draws."""
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    images = (0.5 + 0.4 * torch.sin(x / 9) * torch.cos(y / 11)).expand(4, 1, 48, 48)
    strengths = Strengths(
        perspective=0.2,
        perspective_probability=1.0,
        rotation=20.0,
        horizontal_flip=0.5,
        crop_scale=(0.3, 0.5),
    )
    ours = _draw.draw_view(strengths, 0, images, torch.Generator().manual_seed(2))
    generator, size = torch.Generator().manual_seed(2), (48, 48)
    corners = _geometry.draw_corners(4, size, 0.2, generator)
    _geometry.draw_corners(4, size, 0.0, generator)
    _geometry.uniform((4, 1, 1), 0, 1, generator)
    degrees = _geometry.uniform((4,), -20, 20, generator)
    flips = _geometry.uniform((2, 4), 0, 1, generator)
    boxes = _geometry.draw_boxes(4, size, (0.3, 0.5), (3 / 4, 4 / 3), generator)
    theirs = _geometry.warp(images, _geometry.perspective_homographies(corners, size))
    theirs = torch.stack(
        [
            tv.rotate(image, float(angle), tv.InterpolationMode.BILINEAR)
            for image, angle in zip(theirs, degrees, strict=True)
        ]
    )
    is_flipped = flips[0] < 0.5
    assert 0 < is_flipped.sum() < 4
    theirs[is_flipped] = tv.horizontal_flip(theirs[is_flipped])
    theirs = _geometry.warp(theirs, _geometry.crop_homographies(boxes, size))
    # Resampling several times blurs the border with the black outside; inside it is
    # the same up to 0.01.
    is_near = (ours - theirs).abs() < 0.01
    assert is_near.float().mean() > 0.93
    assert is_near[..., 12:-12, 12:-12].float().mean() > 0.99


def test_filters_come_after_colours():
    """Inversion, then blur, then solarization, compared with torchvision's in a row."""
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = first_views(
        images, inversion=1, blur=1, blur_sigma=(1, 1), solarize=1, grayscale=1
    )
    theirs = tv.invert(tv.rgb_to_grayscale(images, num_output_channels=3))
    theirs = tv.solarize(tv.gaussian_blur(theirs, [7, 7], [1.0, 1.0]), 0.5)
    # torchvision's luma weights sum to 0.9999, so values at the threshold may flip.
    assert ((ours - theirs).abs() < 1e-3).float().mean() > 0.999


def test_what_resolve_returns_draws_the_same(recwarn):
    images = torch.rand(5, 1, 40, 40, generator=torch.Generator().manual_seed(0))
    views = RandomViews("byol", random_state=0)
    resolved = views.resolve((1, 40, 40))
    assert torch.equal(views.sample(images)[1], resolved.sample(images)[1])
    assert not recwarn.list


@pytest.mark.parametrize("shape", [(3, 48, 40), (1, 1, 8)])
def test_views_of_which_all_are_blurred_are_contiguous(shape):
    images = torch.rand((6, *shape), generator=torch.Generator().manual_seed(0))
    for view in RandomViews("byol", blur=1.0, random_state=0).sample(images):
        assert view.is_contiguous()
