"""Channel statistics as a layer, so that an encoder takes plain images in [0, 1]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Normalize"]


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel.

    Parameters
    ----------
    mean, std : sequence of float of length n_channels
        Statistics of images in [0, 1]. A standard deviation below 1e-3 counts as 1, so
        that constant channels stay finite.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer(
            "std",
            torch.tensor([s if s > 1e-3 else 1.0 for s in std]).reshape(1, -1, 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images of shape (n_images, n_channels, height, width)."""
        return (images - self.mean).div_(self.std)
