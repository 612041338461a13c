"""The filters of a view: Gaussian blur and solarization."""

import torch
import torch.nn.functional as F
from torch import Tensor


def blur_radius(side: int) -> int:
    """Pixels that the blur reaches on either side: a twentieth of the image's side."""
    # The paper's kernel of 23 pixels at a side of 224 has radius 11.
    return min(max(1, round(side / 20)), side - 1)


def gaussian_blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur images by Gaussians of widths (n,) in pixels, with mirrored edges."""
    height, width = images.shape[-2:]
    return _blur_rows(_blur_rows(images, sigmas, width).mT, sigmas, height).mT


def solarize(images: Tensor, threshold: float) -> Tensor:
    """Invert the values at or above the threshold."""
    return torch.where(images >= threshold, 1 - images, images)


def _blur_rows(images: Tensor, sigmas: Tensor, side: int) -> Tensor:
    """Convolve along the last axis, each image with its own kernel."""
    n, n_channels, height, width = images.shape
    radius = blur_radius(side)
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    # Narrower ones do nothing either, nor divide 0 by 0.
    sigmas = sigmas.clamp_min(1e-3)
    kernels = torch.exp(-((offsets / sigmas[:, None]) ** 2) / 2)
    kernels = kernels / kernels.sum(dim=1, keepdim=True)
    padded = F.pad(images.reshape(n, -1, width), (radius, radius), mode="reflect")
    rows = padded.reshape(1, n, -1, width + 2 * radius)
    blurred = F.conv2d(rows, kernels[:, None, None, :], groups=n)
    return blurred.reshape(n, n_channels, height, width)
