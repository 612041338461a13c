"""Layers around an encoder: normalisation, readout, heads."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GridAverage", "Normalize", "Readout", "mlp", "read_on_grid"]


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


class GridAverage(nn.Module):
    """Average each channel of a feature map over the cells of a grid.

    One cell is the paper's global average. More cells keep where things are, which a
    linear classifier makes use of; the representation grows by as many times.

    Parameters
    ----------
    n_cells : int
        Cells on each side of the grid.
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
    """From what a network returns to one vector an image.

    A feature map is averaged over the cells of a grid; a vector stays as it is.
    """

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
    """Replace the global average of one of torchvision's networks by a grid.

    Parameters
    ----------
    network : nn.Module
        A classifier of torchvision without its head.
    n_cells : int
        Cells on each side of the grid.

    Returns
    -------
    nn.Module
        The network, changed in place, or what of it comes before the average.

    Raises
    ------
    ValueError
        If the network has no global average.
    """
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


def mlp(n_inputs: int, n_hidden: int, n_outputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, Linear: the paper's head.

    The last layer has no bias, as in the reference implementation.

    Parameters
    ----------
    n_inputs, n_hidden, n_outputs : int
        Widths of the layers.

    Returns
    -------
    nn.Sequential
        A module from (n_images, n_inputs) to (n_images, n_outputs).
    """
    return nn.Sequential(
        nn.Linear(n_inputs, n_hidden),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Linear(n_hidden, n_outputs, bias=False),
    )
