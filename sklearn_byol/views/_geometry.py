"""The geometry of a view: one homography per image, applied by one resampling.

A homography is a 3x3 matrix that takes a point of the view to the point of the image
that is seen there. Points are in pixels, counted from the centre of the image, x to the
right and y down, so that turning and mirroring need no offsets.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sklearn_byol.views._presets import Range

N_ATTEMPTS = 10  # as in torchvision's RandomResizedCrop
MULTIPLE = 4  # pixels that the sides of smaller views are a multiple of
FAR = 1e4  # in images: outside, and still a finite number of pixels

Size = tuple[int, int]  # height and width of an image, in pixels


@functools.cache
def on_device(values: tuple[object, ...], device: torch.device) -> Tensor:
    """Put a few numbers on a device, once, without waiting for what a GPU computes.

    They are shared, and stay: nobody may write to them.
    """
    numbers = torch.tensor(values, dtype=torch.float32)
    return numbers.to(device, non_blocking=device.type == "cuda")


def uniform(
    shape: tuple[int, ...], low: float, high: float, generator: Generator
) -> Tensor:
    """Uniform draws on the generator's device."""
    draws = torch.rand(shape, generator=generator, device=generator.device)
    return draws.mul_(high - low).add_(low)


def draw_boxes(
    n: int, size: Size, scale: Range, ratio: Range, generator: Generator
) -> Tensor:
    """Draw crops: (n, 4), centre x and y from the image's centre, width, height."""
    # The law of torchvision's RandomResizedCrop: area uniform in `scale`, logarithm of
    # the aspect ratio uniform in `ratio`, up to ten attempts until the box fits the
    # image, else the largest central box of an allowed ratio. Sides and positions are
    # not rounded to whole pixels.
    height, width = size
    areas = uniform((n, N_ATTEMPTS), *scale, generator) * (height * width)
    low, high = map(math.log, ratio)
    log_ratios = uniform((n, N_ATTEMPTS), low, high, generator)
    places = uniform((n, 2), -0.5, 0.5, generator)
    half_ratios = torch.exp(log_ratios / 2)
    widths, heights = areas.sqrt() * half_ratios, areas.sqrt() / half_ratios
    fits = (widths <= width * (1 + 1e-6)) & (heights <= height * (1 + 1e-6))
    first = fits.to(torch.uint8).argmax(dim=1, keepdim=True)
    fallback = min(max(width / height, ratio[0]), ratio[1])
    has_fit = fits.any(dim=1)
    widest, highest = min(width, height * fallback), min(height, width / fallback)
    box_width = torch.where(has_fit, widths.gather(1, first)[:, 0], widest)
    box_height = torch.where(has_fit, heights.gather(1, first)[:, 0], highest)
    x = places[:, 0] * (width - box_width).clamp_min(0) * has_fit
    y = places[:, 1] * (height - box_height).clamp_min(0) * has_fit
    return torch.stack([x, y, box_width, box_height], dim=1)


def crop_homographies(boxes: Tensor, size: Size) -> Tensor:
    """Stretch each box over the whole view: (n, 4) to (n, 3, 3)."""
    height, width = size
    x, y, box_width, box_height = boxes.unbind(dim=1)
    return _affine(box_width / width, 0, x, 0, box_height / height, y)


def flip_homographies(horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Mirror the images for which the masks of shape (n,) are true: (n, 3, 3)."""
    return _affine(1 - 2 * horizontal.float(), 0, 0, 0, 1 - 2 * vertical.float(), 0)


def rotation_homographies(degrees: Tensor) -> Tensor:
    """Turn the images counter-clockwise about their centre: (n,) to (n, 3, 3)."""
    radians = torch.deg2rad(degrees)
    cos, sin = radians.cos(), radians.sin()
    return _affine(cos, -sin, 0, sin, cos, 0)


def draw_corners(n: int, size: Size, distortion: float, generator: Generator) -> Tensor:
    """Draw where the corners go, clockwise from the top left: (n, 4, 2), x and y."""
    # The law of torchvision's RandomPerspective: each corner moves inwards by up to
    # half the image times `distortion`, both ways on its own, not rounded to whole
    # pixels.
    height, width = size
    x, y = width / 2, height / 2
    corners = on_device(((-x, -y), (x, -y), (x, y), (-x, y)), generator.device)
    return corners * (1 - uniform((n, 4, 2), 0.0, distortion, generator))


def perspective_homographies(corners: Tensor, size: Size) -> Tensor:
    """Show the image's corners at the points given: (n, 4, 2) to (n, 3, 3)."""
    # The closed form of the map from the unit square to a quadrilateral (Heckbert 1989,
    # section 2.2.3), inverted by cross products: a homography's scale does not matter.
    height, width = size
    p_0, p_1, p_2, p_3 = corners.unbind(dim=1)
    edge_1, edge_2, twist = p_1 - p_2, p_3 - p_2, p_0 - p_1 + p_2 - p_3
    area = _cross(edge_1, edge_2)
    g = (_cross(twist, edge_2) / area)[:, None]
    h = (_cross(edge_1, twist) / area)[:, None]
    one = torch.ones_like(g)
    columns = [
        torch.cat([p_1 - p_0 + g * p_1, g], dim=1),
        torch.cat([p_3 - p_0 + h * p_3, h], dim=1),
        torch.cat([p_0, one], dim=1),
    ]
    rows = [torch.linalg.cross(columns[i - 2], columns[i - 1]) for i in range(3)]
    to_pixels = (width, 0.0, -width / 2), (0.0, height, -height / 2), (0.0, 0.0, 1.0)
    return on_device(to_pixels, corners.device) @ torch.stack(rows, dim=1)


def view_size(size: Size, share: float) -> Size:
    """Return the size of views whose sides are a share of the image's, rounded down."""
    height, width = (
        side
        if share == 1
        else max(min(side, MULTIPLE), int(side * share + 1e-6) // MULTIPLE * MULTIPLE)
        for side in size
    )
    return height, width


def warp(
    images: Tensor,
    homographies: Tensor,
    size: Size | None = None,
    *,
    is_affine: bool = False,
) -> Tensor:
    """Resample images through homographies (n, 3, 3), bilinearly, with 0 outside.

    Views of another size than the image show the same, with fewer pixels or more.
    """
    # Those whose last row is 0, 0, 1, the affine ones, need no division.
    height, width = images.shape[-2:]
    size = (height, width) if size is None else size
    xs, ys = (
        (torch.arange(n, device=images.device) - (n - 1) / 2) * (length / n)
        for n, length in ((size[1], width), (size[0], height))
    )
    # grid_sample measures from -1 to 1 across the whole image.
    unit = on_device((2 / width, 2 / height, 1.0), images.device)
    norm = unit[:, None] * homographies
    norm = norm[:, :2] if is_affine else norm
    x_part = norm[:, None, None, :, 0] * xs[:, None]
    y_part = norm[:, None, None, :, 1] * ys[:, None, None] + norm[:, None, None, :, 2]
    grid = x_part + y_part
    if not is_affine:
        # Points at the horizon of a strong perspective are far outside, not infinite.
        grid = (grid[..., :2] / grid[..., 2:]).nan_to_num_(FAR).clamp_(-FAR, FAR)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _affine(*rows: Tensor | float) -> Tensor:
    """Stack six numbers or tensors of shape (n,) to matrices of shape (n, 3, 3)."""
    n, like = next((len(row), row) for row in rows if isinstance(row, Tensor))
    columns = [
        row if isinstance(row, Tensor) else like.new_full((n,), row)
        for row in (*rows, 0.0, 0.0, 1.0)
    ]
    return torch.stack(columns, dim=1).reshape(n, 3, 3)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross product of vectors in the plane: (n, 2), (n, 2) to (n,)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
