"""Histograms of oriented gradients, beside what an encoder learns."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_byol.networks._readout import CellAverage

N_ORIENTATIONS = 9  # of half a turn: what is dark and what is bright does not count
SHARPNESS = 4  # the larger, the fewer orientations a gradient counts for
N_CELLS = 7  # on each side, from 16 pixels on
LEAST = 1e-6  # of the length of a gradient, so that nothing divides by zero


class OrientedGradients(nn.Module):
    """How strong edges of each orientation are, in each cell of a grid.

    Dalal and Triggs (2005), Histograms of oriented gradients for human detection. Of
    several channels the one with the longest gradient counts, pixel by pixel. A pixel
    counts for orientations near its own by a power of the cosine, instead of for two
    bins; cells are of the whole image, their averages not normalised by blocks, but
    square roots are taken.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, n_cells: int) -> None:
        super().__init__()
        self.average = CellAverage(n_cells)
        self.n_outputs = N_ORIENTATIONS * n_cells**2
        doubled = torch.arange(N_ORIENTATIONS) * (2 * math.pi / N_ORIENTATIONS)
        for name, values in (("cosines", doubled.cos()), ("sines", doubled.sin())):
            self.register_buffer(name, values.reshape(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, 9 * n_cells**2)."""
        right, down = _gradients(images.float())
        length = (right.square() + down.square()).sqrt().clamp_min(LEAST)
        right, down = right / length, down / length
        # The cosine of twice the angle between a gradient and each orientation.
        along = (right.square() - down.square()) * self.cosines
        along = along + 2 * right * down * self.sines
        strengths = length * along.clamp_min(0).pow(SHARPNESS)
        return self.average(strengths).flatten(1).sqrt()


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Difference neighbours to both sides: two maps (n, 1, height, width)."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    if images.shape[1] == 1:
        return right, down
    longest = (right.square() + down.square()).argmax(dim=1, keepdim=True)
    return right.gather(1, longest), down.gather(1, longest)


def auto_cells(image_shape: tuple[int, int, int]) -> int:
    """Choose the cells on each side of the grid; of fewer than 16 pixels none."""
    return N_CELLS if min(image_shape[1:]) >= 16 else 0
