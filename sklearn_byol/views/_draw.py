"""How one view of each image is drawn by strengths."""

from collections.abc import Callable
from functools import partial, reduce

import torch
from torch import Generator, Tensor

from sklearn_byol.views import _colour, _filters, _geometry
from sklearn_byol.views._presets import Strengths

Function = Callable[[Tensor], Tensor]


def draw_view(
    strengths: Strengths, view: int, images: Tensor, generator: Generator
) -> Tensor:
    """Draw view 0 or 1 of images (n, n_channels, height, width) in [0, 1], kept."""
    views = _draw_warp(images, strengths, generator)
    views = _draw_colour(views, strengths, generator)

    def blur(some: Tensor) -> Tensor:
        if min(some.shape[-2:]) == 1:
            return some
        sigmas = _geometry.uniform((len(some),), *strengths.blur_sigma, generator)
        return _filters.gaussian_blur(some, sigmas).clamp_(0, 1).contiguous()

    views = _apply_to_some(views, blur, strengths.blur[view], generator)
    solarize = partial(_filters.solarize, threshold=strengths.solarize_threshold)
    return _apply_to_some(views, solarize, strengths.solarize[view], generator)


def _draw_warp(images: Tensor, strengths: Strengths, generator: Generator) -> Tensor:
    """Perspective, rotation, flips and crop, in this order, as one homography."""
    n, size = len(images), (images.shape[-2], images.shape[-1])
    parts = []
    if strengths.perspective:
        corners = _geometry.draw_corners(n, size, strengths.perspective, generator)
        unmoved = _geometry.draw_corners(n, size, 0.0, generator)
        probability = strengths.perspective_probability
        is_drawn = _geometry.uniform((n, 1, 1), 0, 1, generator) < probability
        corners = torch.where(is_drawn, corners, unmoved)
        parts.append(_geometry.perspective_homographies(corners, size))
    if strengths.rotation:
        limit = strengths.rotation
        degrees = _geometry.uniform((n,), -limit, limit, generator)
        parts.append(_geometry.rotation_homographies(degrees))
    horizontal, vertical = strengths.horizontal_flip, strengths.vertical_flip
    if horizontal or vertical:
        draws = _geometry.uniform((2, n), 0, 1, generator)
        is_flipped = draws[0] < horizontal, draws[1] < vertical
        parts.append(_geometry.flip_homographies(*is_flipped))
    if strengths.crop_scale != (1.0, 1.0):
        scale, ratio = strengths.crop_scale, strengths.crop_ratio
        boxes = _geometry.draw_boxes(n, size, scale, ratio, generator)
        parts.append(_geometry.crop_homographies(boxes, size))
    wanted = _geometry.view_size(size, strengths.size)
    if not parts and wanted == size:
        return images
    if not parts:
        parts.append(torch.eye(3, device=images.device).expand(n, 3, 3))
    homographies = reduce(torch.matmul, parts)
    is_affine = not strengths.perspective
    return _geometry.warp(images, homographies, wanted, is_affine=is_affine)


def _draw_colour(images: Tensor, strengths: Strengths, generator: Generator) -> Tensor:
    """Jitter, grayscale and inversion as one map, without hue where it needs RGB."""
    strengths = strengths.for_channels(images.shape[1])
    if not strengths.changes_colours:
        # Resampling may leave [0, 1] by a rounding error.
        return images.clamp(0, 1)
    draws = _colour.draw_colours(len(images), strengths, generator)
    return _colour.apply_colour(images, draws)


def _apply_to_some(
    images: Tensor, function: Function, probability: float, generator: Generator
) -> Tensor:
    """Apply a function to each image with a probability."""
    if probability == 0:
        return images
    is_drawn = _geometry.uniform((len(images),), 0, 1, generator) < probability
    if probability == 1:
        return function(images)
    # To learn which images were drawn is to wait for a GPU: it computes it for all.
    if generator.device.type != "cpu":
        return torch.where(is_drawn[:, None, None, None], function(images), images)
    chosen = is_drawn.nonzero()[:, 0]
    if not len(chosen):
        return images
    return images.index_copy(0, chosen, function(images[chosen]))
