"""What images go through before a network: brought to a size, and normalised."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ImageShape = tuple[int, int, int]  # n_channels, height, width
Statistics = tuple[Sequence[float], Sequence[float]]  # means and standard deviations


class Resize(nn.Module):
    """Bring the shorter side of images to a number of pixels, bilinearly.

    Networks that were trained on photographs of 224 pixels make more of small images
    that are brought nearer to that. Smaller ones are made with antialiasing.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        """Resize images of shape (n_images, n_channels, height, width)."""
        own = (images.shape[1], images.shape[2], images.shape[3])
        _, *size = resized_shape(own, self.side)
        if (*size,) == own[1:]:
            return images
        shrinks = size[0] < own[1]
        return F.interpolate(images, size, mode="bilinear", antialias=shrinks)

    def extra_repr(self) -> str:
        """Show the side where the module is printed."""
        return f"{self.side}"


def resized_shape(image_shape: ImageShape, side: int | None) -> ImageShape:
    """Return the shape of an image whose shorter side is brought to a size, if any."""
    n_channels, height, width = image_shape
    if side is None:
        return image_shape
    shorter = min(height, width)
    height, width = (round(length * side / shorter) for length in (height, width))
    return n_channels, height, width


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        # A deviation of zero is of a constant, which stays finite.
        std = [s if s > 0 else 1.0 for s in std]
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images of shape (n_images, n_channels, height, width)."""
        return (images - self.mean).div_(self.std)


def check_statistics(given: Any, n_channels: int | None = None) -> Statistics:
    """Return a mean and a deviation of each channel; gray images may go into three.

    Where it is not known yet, the number of channels is not checked.
    """
    try:
        first, second = map(_numbers, given)
    except (TypeError, ValueError, RuntimeError):
        first, second = [], []
    n_numbers = n_channels or max(1, len(first), len(second))
    mean, std = (
        part * n_numbers if len(part) == 1 else part for part in (first, second)
    )
    lengths = {n_numbers, 3} if n_channels == 1 else {n_numbers}
    if len(mean) != len(std) or len(mean) not in lengths:
        wanted = " or ".join(map(str, sorted(lengths)))
        here = "" if n_channels is None else f", {wanted} here"
        raise ValueError(
            "normalization must be a pair of a mean and a standard deviation, each a "
            f"number or one for each channel{here}. Got {given!r}."
        )
    if not all(0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std, strict=True)):
        raise ValueError(
            "normalization is of pixels in [0, 1]: means must lie in it, deviations "
            f"above 0 and not above 1. Got {given!r}; divide what is meant for pixels "
            "up to 255 by 255."
        )
    return mean, std


def _numbers(given: Any) -> list[float]:
    """Return numbers, one or one for each channel."""
    numbers: list[float] = torch.as_tensor(given, dtype=torch.float64).ravel().tolist()
    return numbers
