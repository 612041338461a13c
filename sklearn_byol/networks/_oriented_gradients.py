"""Histograms of oriented gradients, beside what an encoder learns."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_byol.networks._readout import CellAverage

N_ORIENTATIONS = 9  # of half a turn: what is dark and what is bright does not count
N_HARMONICS = 6  # the more there are, the fewer orientations a gradient counts for
# Cells on each side by the pixels of an image's, and more for gray images, whose one
# object has its place.
N_CELLS, N_CELLS_GRAY = {16: 7}, {16: 7, 28: 10}
LEAST = 1e-6  # of a length that is divided by, and of what the root is taken of


class OrientedGradients(nn.Module):
    """How strong edges of each orientation are, in each cell of a grid.

    Dalal and Triggs (2005), Histograms of oriented gradients for human detection. Of
    several channels the one with the longest gradient counts, pixel by pixel. Instead
    of for two bins, a pixel counts for each orientation by the twelfth power of the
    cosine of the angle between them. Cells are averaged, not normalised by blocks, and
    square roots are taken.
    """

    # Powers of a cosine are sums of harmonics, so that cells are averaged first, and
    # turned into orientations afterwards.
    weights: Tensor

    def __init__(self, n_cells: int) -> None:
        super().__init__()
        self.average = CellAverage(n_cells)
        self.n_outputs = N_ORIENTATIONS * n_cells**2
        self.register_buffer("weights", _harmonic_weights(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, 9 * n_cells**2)."""
        # One harmonic at a time, as all of them at once take much memory.
        harmonics = _harmonics(*_gradients(images.float()))
        averages = [self.average(map_[:, None]).flatten(1) for map_ in harmonics]
        cells = torch.stack(averages, dim=1)
        # A sum, as a product of matrices would be of lower precision under autocast.
        strengths = (cells[:, None] * self.weights[..., None]).sum(dim=2)
        return strengths.clamp_min(LEAST).sqrt().flatten(1)

    def mirrored(self, rows: Tensor) -> Tensor:
        """Turn histograms of images into those of their mirror images."""
        n_cells = self.average.n_cells
        cells = rows.unflatten(1, (N_ORIENTATIONS, n_cells, n_cells))
        # An angle becomes half a turn less it, and 0 stays 0.
        return cells.roll(-1, dims=1).flip((1, 3)).flatten(1)


def _harmonic_weights() -> Tensor:
    """Turn harmonics into orientations: (9, 13), as a power of a cosine expands."""
    n, angles = N_HARMONICS, torch.arange(N_ORIENTATIONS) * (math.pi / N_ORIENTATIONS)
    columns = [torch.full((N_ORIENTATIONS,), math.comb(2 * n, n) / 4**n)]
    for order in range(1, n + 1):
        weight = 2 * math.comb(2 * n, n - order) / 4**n
        turned = 2 * order * angles
        columns += [weight * turned.cos(), weight * turned.sin()]
    return torch.stack(columns, dim=1)


def _harmonics(right: Tensor, down: Tensor) -> Iterator[Tensor]:
    """Yield length, and length times cosine and sine of even multiples of the angle.

    All are (n, height, width); there are 13.
    """
    length = (right * right + down * down + LEAST**2).sqrt()
    # It is that already, but onnxruntime leaves out what is added above.
    divisor = length.clamp_min(LEAST)
    right, down = right / divisor, down / divisor
    cosine, sine = right * right - down * down, 2 * right * down
    yield length
    x, y = length * cosine, length * sine
    for order in range(N_HARMONICS):
        if order:
            x, y = x * cosine - y * sine, x * sine + y * cosine
        yield from (x, y)


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Difference neighbours to both sides: two maps (n, height, width)."""
    channels = [_differences(channel) for channel in images.unbind(dim=1)]
    right, down, length = channels[0]
    for other_right, other_down, other_length in channels[1:]:
        is_longer = other_length > length
        right = torch.where(is_longer, other_right, right)
        down = torch.where(is_longer, other_down, down)
        length = torch.maximum(length, other_length)
    return right, down


def _differences(channel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both gradients of one channel (n, height, width), and the squared length.

    At the edges the outermost pixels are repeated.
    """
    padded = F.pad(channel[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    right = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return right, down, right * right + down * down


def auto_cells(image_shape: tuple[int, int, int]) -> int:
    """Choose the cells on each side of the grid; of fewer than 16 pixels none."""
    n_channels, *size = image_shape
    by_side = N_CELLS_GRAY if n_channels == 1 else N_CELLS
    return max((n for side, n in by_side.items() if min(size) >= side), default=0)
