"""What a fitted encoder is made of: from images in [0, 1] to representations."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_byol.networks._oriented_gradients import OrientedGradients
from sklearn_byol.networks._residual import ResidualEncoder

PARTS = ("resize", "normalize", "network", "readout", "gradients", "scale")
BEFORE, TRUNK, LEARNS = PARTS[:2], PARTS[:3], PARTS[:4]  # what BYOL trains, at most
NETWORK = PARTS[1:4]  # what none is without


class Scale(nn.Module):
    """Numbers that rows are multiplied by: what is learned, and what goes beside it."""

    learned: Tensor
    beside: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("learned", torch.ones(()))
        self.register_buffer("beside", torch.ones(()))


class ImageEncoder(nn.Sequential):
    """The parts by name: (resize), normalize, network, readout, (gradients), (scale).

    BYOL trains the first ones, up to the readout. Histograms of oriented gradients go
    beside what is learned, and each of both may be multiplied by a number.
    """

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        ordered = [(name, parts[name]) for name in PARTS if name in parts]
        super().__init__(OrderedDict(ordered))

    def __getitem__(self, index: Any) -> Any:
        """Return a part by its number, or some of them as they follow each other."""
        parts = list(self.named_children())[index]
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(parts))
        return parts[1]

    @property
    def n_beside(self) -> int:
        """Count the numbers of a representation that are not learned."""
        return getattr(getattr(self, "gradients", None), "n_outputs", 0)

    @property
    def n_cells_beside(self) -> int:
        """Count the cells on each side of the grid of gradients, 0 without one."""
        gradients = getattr(self, "gradients", None)
        if not isinstance(gradients, OrientedGradients):
            return 0
        return gradients.average.n_cells

    @property
    def has_neck(self) -> bool:
        """Whether training puts a stage behind the network, which sees its maps."""
        network = self.get_submodule("network")
        return isinstance(network, ResidualEncoder) and network.has_neck

    @property
    def trained(self) -> nn.Sequential:
        """The parts that views go through in training."""
        return self.take(TRUNK if self.has_neck else LEARNS)

    def take(self, names: tuple[str, ...]) -> nn.Sequential:
        """Take some of the parts, which are shared."""
        parts = self.named_children()
        return nn.Sequential(OrderedDict((k, v) for k, v in parts if k in names))

    def forward(self, images: Tensor) -> Tensor:
        """Map (n_images, n_channels, height, width) to (n_images, n_dims)."""
        parts = dict(self.named_children())
        for name in BEFORE:
            images = parts[name](images) if name in parts else images
        rows: Tensor = parts["readout"](parts["network"](images))
        scale = parts.get("scale")
        if isinstance(scale, Scale):
            rows = rows * scale.learned
        if "gradients" not in parts:
            return rows
        beside = parts["gradients"](images)
        if isinstance(scale, Scale):
            beside = beside * scale.beside
        return torch.cat([rows.float(), beside], dim=1)
