"""Layers around a network: normalisation, readout, heads, and a stem that fits."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        # Constant channels stay finite.
        std = [s if s > 1e-3 else 1.0 for s in std]
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images of shape (n_images, n_channels, height, width)."""
        return (images - self.mean).div_(self.std)


class GridAverage(nn.Module):
    """Average each channel of a feature map over the cells of a grid.

    One cell is the paper's global average. More cells keep where things are, which a
    linear classifier makes use of; the representation grows by as many times.
    """

    def __init__(self, n_cells: int) -> None:
        super().__init__()
        self.n_cells = n_cells

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_channels, n_cells, n_cells)."""
        if min(maps.shape[2:]) < self.n_cells > 1:
            height, width = maps.shape[2:]
            raise ValueError(
                f"readout={self.n_cells} needs a last feature map of "
                f"{self.n_cells}x{self.n_cells} or more; it is {height}x{width}."
            )
        return F.adaptive_avg_pool2d(maps, self.n_cells)

    def extra_repr(self) -> str:
        """Show the grid where the module is printed."""
        return f"{self.n_cells}x{self.n_cells}"


class Readout(GridAverage):
    """From feature maps, averaged over a grid, or vectors to one vector an image."""

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


def mlp(n_inputs: int, n_hidden: int, n_outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, Linear: the paper's head."""
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        # Without a bias, as in the reference implementation.
        nn.Linear(n_hidden, n_outputs, bias=False),
    )


def fit_stem(network: nn.Module, n_channels: int, side: int) -> None:
    """Give the first convolution the image's channels, and small images their side."""
    # A network made for 224 pixels would reduce images of 64 or less to a single point,
    # so its first convolution loses a stride of 2. A residual network takes a 3x3
    # convolution there, and loses the max-pool behind it at 32 pixels or less.
    name, first = next(
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    )
    options: dict[str, Any] = {
        "kernel_size": first.kernel_size,
        "stride": first.stride,
        "padding": first.padding,
    }
    if side <= 64 and name == "conv1" and hasattr(network, "maxpool"):
        options = {"kernel_size": 3, "stride": 1, "padding": 1}
        if side <= 32:
            network.maxpool = nn.Identity()
    elif side <= 64 and first.stride == (2, 2):
        options["stride"] = 1
    elif n_channels == first.in_channels:
        return
    has_bias = first.bias is not None
    stem = nn.Conv2d(n_channels, first.out_channels, bias=has_bias, **options)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.set_submodule(name, stem)


# Networks of torchvision that average in a function, or have layers behind the average
# that only take one cell; and what comes before it. By name, as torchvision is slow to
# import.
TRUNKS = {
    "AlexNet": ("features",),
    "DenseNet": ("features",),
    "MobileNetV2": ("features",),
    "MNASNet": ("layers",),
    "MobileNetV3": ("features",),
    "ShuffleNetV2": ("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"),
    "VGG": ("features",),
}


def read_on_grid(network: nn.Module, n_cells: int) -> nn.Module:
    """Replace the global average of one of torchvision's networks by a grid."""
    kind = type(network).__name__
    if kind in TRUNKS:
        # By their own names, which weights of other trainings have.
        parts = OrderedDict(
            (name, network.get_submodule(name)) for name in TRUNKS[kind]
        )
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
            f"{type(network).__name__} does not. Pass readout='auto'."
        )
    network.set_submodule(averages[0], GridAverage(n_cells))
    return network
