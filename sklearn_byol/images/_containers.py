"""Images of one shape: in an array, decoded as they are asked for, or both, joined."""

import hashlib
import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sklearn_byol.exceptions import PixelRangeWarning, warn
from sklearn_byol.images._in_memory import Images, Indices, chunks_of
from sklearn_byol.images._streamed import StreamedImages

N_FOR_STATISTICS = 4096  # images, evenly spaced: enough for a mean to three digits
CONSTANT = 1e-6  # of the range; less is no deviation, but what rounding leaves
N_IN_DOUBLE = 64  # images that statistics take at a time
N_STREAMED = 256  # images that are decoded for a digest, evenly spaced

Part = Images | StreamedImages


class JoinedImages:
    """Images of one shape from several sources, one source after another."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self.shape = self.parts[0].shape
        self.is_streamed = any(part.is_streamed for part in self.parts)

    def __len__(self) -> int:
        """Count the images of all sources."""
        return sum(map(len, self.parts))

    def __getitem__(self, indices: Indices) -> Tensor:
        """Return images (n, n_channels, height, width), by indices that ascend."""
        start, batches = 0, []
        for part in self.parts:
            first, last = np.searchsorted(indices, [start, start + len(part)])
            if last > first:
                batches.append(part[indices[first:last] - start])
            start += len(part)
        return torch.cat([batch.to(batches[0].device) for batch in batches])

    def to(self, device: torch.device) -> "JoinedImages":
        """Keep each source on a GPU if there is room for it."""
        return JoinedImages([part.to(device) for part in self.parts])


AllImages = Part | JoinedImages


def channel_statistics(images: AllImages) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, over up to 4,096 images.

    A channel that is constant has a deviation of 1, and is named.
    """
    indices = np.arange(0, len(images), -(-len(images) // N_FOR_STATISTICS))
    n_pixels = len(indices) * math.prod(images.shape[1:])
    total = squares = torch.zeros(images.shape[0], dtype=torch.float64)
    for chunk in np.array_split(indices, -(-len(indices) // N_IN_DOUBLE)):
        batch = images[chunk].double()
        total = total + batch.sum(dim=(0, 2, 3))
        squares = squares + batch.square().sum(dim=(0, 2, 3))
    mean = total / n_pixels
    variance = squares / n_pixels - mean**2
    std = variance.clamp_min(0).sqrt()
    _tell_of_constant((std <= CONSTANT).nonzero().ravel().tolist(), len(std))
    return mean.tolist(), torch.where(std > CONSTANT, std, 1.0).tolist()


def _tell_of_constant(channels: list[int], n_channels: int) -> None:
    """Name channels that are the same everywhere, where others are not."""
    if 0 < len(channels) < n_channels:
        *others, last = map(str, channels)
        named = (
            f"channels {', '.join(others)} and {last}" if others else f"channel {last}"
        )
        warn(
            f"All pixels of {named} of X are the same, of {n_channels} counted "
            "from 0: they tell nothing. Leave them out, or silence this by "
            "filtering sklearn_byol.exceptions.PixelRangeWarning.",
            PixelRangeWarning,
        )


def digest(images: AllImages) -> str:
    """Return 16 hexadecimal digits that other images do not have.

    Of images that are decoded whenever they are asked for, the names and the pixels of
    256 are looked at; of others all pixels are.
    """
    found = hashlib.sha256(repr((len(images), images.shape)).encode())
    if isinstance(images, JoinedImages):
        for part in images.parts:
            found.update(digest(part).encode())
    elif isinstance(images, StreamedImages):
        found.update(os.fsencode("\n".join(images.names)))
        chosen = np.arange(0, len(images), -(-len(images) // N_STREAMED))
        found.update(images[chosen].numpy().tobytes())
    else:
        found.update(repr((images.pixels.dtype.str, images.pixel_range)).encode())
        for chunk in chunks_of(len(images), images.shape):
            found.update(images.pixels[chunk].tobytes())
    return found.hexdigest()[:16]
