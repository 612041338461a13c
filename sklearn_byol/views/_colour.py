"""The colours of a view: one affine map per image, applied by one product.

Brightness, contrast, saturation, hue, grayscale and inversion are each an affine map of
a pixel's colour, so that any number of them in any order is one 3x3 matrix and one
offset. Values are clamped to [0, 1] once, after the whole map, not between its parts.
Images that are not RGB have one number in place of the matrix.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_byol.views._geometry import on_device, uniform
from sklearn_byol.views._presets import Strengths

LUMA = (0.2989, 0.587, 0.114)  # torchvision's weights of red, green and blue


@dataclass(frozen=True)
class ColourDraws:
    """What was drawn for each of n images, of shape (n,) but for the order (n, 4)."""

    brightness: Tensor  # factors; 1 changes nothing
    contrast: Tensor
    saturation: Tensor
    hue: Tensor  # shift in turns of the colour circle, in [-0.5, 0.5]
    order: Tensor  # of brightness 0, contrast 1, saturation 2 and hue 3
    is_gray: Tensor  # masks, applied after the jitter, in this order
    is_inverted: Tensor


def draw_colours(n: int, strengths: Strengths, generator: Generator) -> ColourDraws:
    """Draw by torchvision's laws: ColorJitter, RandomGrayscale, RandomInvert."""
    is_jittered = uniform((n,), 0, 1, generator) < strengths.jitter_probability
    hue = strengths.hue

    def factor(strength: float) -> Tensor:
        low, high = max(0.0, 1 - strength), 1 + strength
        return torch.where(is_jittered, uniform((n,), low, high, generator), 1.0)

    return ColourDraws(
        brightness=factor(strengths.brightness),
        contrast=factor(strengths.contrast),
        saturation=factor(strengths.saturation),
        hue=uniform((n,), -hue, hue, generator) * is_jittered,
        order=uniform((n, 4), 0, 1, generator).argsort(dim=1),
        is_gray=uniform((n,), 0, 1, generator) < strengths.grayscale,
        is_inverted=uniform((n,), 0, 1, generator) < strengths.inversion,
    )


def colour_maps(draws: ColourDraws, means: Tensor) -> tuple[Tensor, Tensor]:
    """From draws and channel means (n, k) to matrices (n, k, k) and offsets (n, k)."""
    # k is 3 for RGB images, else 1 for all channels.
    n, k = means.shape
    luma = on_device(LUMA if k == 3 else (1.0,), means.device)
    luma = luma / luma.sum()
    eye = torch.eye(k, device=means.device)
    gray = luma.expand(k, k)
    factors = torch.stack([draws.brightness, draws.contrast, draws.saturation])
    scaled = factors[:, :, None, None] * eye
    scaled[2] += (1 - draws.saturation)[:, None, None] * gray
    steps = torch.cat([scaled, _hue_matrices(draws.hue, k)[None]])  # (4, n, k, k)
    matrices = eye.expand(n, k, k)
    offsets = torch.zeros_like(means)
    rows = torch.arange(n, device=means.device)
    for operation in draws.order.unbind(dim=1):
        step = steps[operation, rows]
        # Contrast blends with the mean gray of the image as it is by now; since all
        # maps are affine, that mean is known from the means of the channels.
        mean = (matrices @ means[..., None])[..., 0] + offsets
        matrices = step @ matrices
        offsets = (step @ offsets[..., None])[..., 0]
        blend = (1 - draws.contrast) * (operation == 1) * (mean @ luma)
        offsets = offsets + blend[:, None]
    last = torch.where(draws.is_gray[:, None, None], gray, eye)
    sign = 1 - 2 * draws.is_inverted.float()
    matrices = sign[:, None, None] * (last @ matrices)
    offsets = sign[:, None] * (last @ offsets[..., None])[..., 0]
    return matrices, offsets + draws.is_inverted.float()[:, None]


def apply_colour(images: Tensor, draws: ColourDraws) -> Tensor:
    """Map the colours of images in [0, 1] and clamp to [0, 1]; the input is kept."""
    n, n_channels = images.shape[:2]
    pixels = images.reshape(n, 3 if n_channels == 3 else 1, -1)
    matrices, offsets = colour_maps(draws, pixels.mean(dim=2))
    mapped = torch.baddbmm(offsets[..., None], matrices, pixels)
    return mapped.clamp_(0, 1).reshape(images.shape)


def _hue_matrices(turns: Tensor, k: int) -> Tensor:
    """Turn colours about the gray axis: (n,) to (n, k, k)."""
    # A linear stand-in for the shift of hue in HSV: both send red to green and green to
    # blue at a third of a turn, and both leave gray alone. In between HSV keeps the
    # largest and the smallest channel, this keeps the sum. At a tenth of a turn the two
    # differ by 0.03 a value on photographs, where the shift itself is 0.04, and by 0.07
    # on random colours.
    eye = torch.eye(k, device=turns.device)
    if k == 1:
        return eye.expand(len(turns), 1, 1)
    angles = (2 * math.pi * turns)[:, None, None]
    axis = torch.full_like(eye, 1 / 3)
    spin = on_device(((0.0, -1, 1), (1, 0, -1), (-1, 1, 0)), turns.device)
    spin = spin / math.sqrt(3)
    return angles.cos() * (eye - axis) + angles.sin() * spin + axis
