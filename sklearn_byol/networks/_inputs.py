"""What images go through before a network: brought to a size, and normalised."""

from collections.abc import Sequence, Sized
from numbers import Real
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
    is_pair = not isinstance(given, str) and isinstance(given, Sized)
    parts = given if is_pair and len(given) == 2 else ((), ())
    counts = [len(part) for part in parts if isinstance(part, Sized)]
    n_numbers = max([1, *counts]) if n_channels is None else n_channels
    mean, std = (_numbers(part, n_numbers) for part in parts)
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


def _numbers(given: Any, n_channels: int) -> list[float]:
    """Return numbers, one for each channel; nothing for what is none."""
    if isinstance(given, Real):
        return [float(given)] * n_channels
    try:
        numbers = [*given]
    except TypeError:
        return []
    are_numbers = all(isinstance(number, Real) for number in numbers)
    return [float(number) for number in numbers] if are_numbers else []
