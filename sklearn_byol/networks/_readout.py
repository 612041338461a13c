"""How one vector is read from feature maps: an average over a grid of cells."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def average_in_order(maps: Tensor, n_cells: int) -> Tensor:
    """Average over the same cells, first rows, then columns."""
    for axis in (2, 3):
        side = maps.shape[axis]
        starts = [i * side // n_cells for i in range(n_cells)]
        ends = [-(-(i + 1) * side // n_cells) for i in range(n_cells)]
        parts = [
            maps.narrow(axis, start, end - start).mean(dim=axis, keepdim=True)
            for start, end in zip(starts, ends, strict=True)
        ]
        maps = torch.cat(parts, dim=axis)
    return maps


class CellAverage(nn.Module):
    """Average each channel of a feature map over the cells of a grid."""

    def __init__(self, n_cells: int) -> None:
        super().__init__()
        self.n_cells = n_cells

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_channels, n_cells, n_cells)."""
        # Torch's gradients of its average add up in any order on CUDA where cells
        # overlap, and raise where they must be deterministic.
        overlap = maps.requires_grad and any(n % self.n_cells for n in maps.shape[2:])
        if maps.is_cuda and (overlap or torch.are_deterministic_algorithms_enabled()):
            return average_in_order(maps, self.n_cells)
        return F.adaptive_avg_pool2d(maps, self.n_cells)

    def extra_repr(self) -> str:
        """Show the grid where the module is printed."""
        return f"{self.n_cells}x{self.n_cells}"


class GridAverage(CellAverage):
    """Average over the cells of a grid, which maps must be no smaller than.

    One cell is the paper's global average. More cells keep where things are, which a
    linear classifier makes use of; the representation grows by as many times.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_channels, n_cells, n_cells)."""
        if min(maps.shape[2:]) < self.n_cells > 1:
            height, width = maps.shape[2:]
            raise ValueError(
                f"readout={self.n_cells} needs a last feature map of "
                f"{self.n_cells}x{self.n_cells} or more; it is {height}x{width}."
            )
        return super().forward(maps)


class Readout(GridAverage):
    """From feature maps, averaged over a grid, or vectors to one vector per image."""

    def forward(self, output: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_channels * n_cells**2)."""
        if not isinstance(output, Tensor) or output.ndim != 4:
            if self.n_cells > 1:
                raise ValueError(
                    f"readout={self.n_cells} needs an encoder that returns feature "
                    "maps (n_images, n_channels, height, width). Pass readout='auto'."
                )
            return output
        return super().forward(output).flatten(1)


# Networks of torchvision that average in a function, or have layers behind the average
# that only take one cell; and what comes before it. By name, as torchvision is slow to
# import.
FEATURES = ("features",)
TRUNKS = {
    **dict.fromkeys(("AlexNet", "DenseNet", "MobileNetV2", "MobileNetV3"), FEATURES),
    "VGG": FEATURES,
    "MNASNet": ("layers",),
    "ShuffleNetV2": ("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"),
}


def read_on_grid(network: nn.Module, n_cells: int) -> nn.Module:
    """Replace the global average of one of torchvision's networks by a grid."""
    kind = type(network).__name__
    if kind in TRUNKS:
        # By their own names, which weights of other trainings have.
        parts = OrderedDict((name, getattr(network, name)) for name in TRUNKS[kind])
        if kind == "DenseNet":
            parts["relu"] = nn.ReLU()
        parts |= {"average": GridAverage(n_cells), "flatten": nn.Flatten()}
        return nn.Sequential(parts)
    averages = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.AdaptiveAvgPool2d)
        and module.output_size in {1, (1, 1)}
        and name.split(".")[0] in {"avgpool", "classifier"}
    ]
    if not averages:
        raise ValueError(
            f"readout={n_cells} needs a network that ends in a global average; "
            f"{kind} does not. Pass readout='auto'."
        )
    network.set_submodule(averages[0], GridAverage(n_cells))
    return network
