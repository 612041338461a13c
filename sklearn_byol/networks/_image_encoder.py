"""What a fitted encoder is made of: from images in [0, 1] to representations."""

import math
from collections import OrderedDict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_byol.networks._oriented_gradients import OrientedGradients
from sklearn_byol.networks._residual import ResidualEncoder

PARTS = ("resize", "normalize", "network", "readout", "gradients", "mirror", "scale")
BEFORE, TRUNK, LEARNS = PARTS[:2], PARTS[:3], PARTS[:4]  # what BYOL trains, at most
NETWORK = PARTS[1:4]  # what none is without


class Scale(nn.Module):
    """Columns that vary by 1 on average.

    What is learned is brought to one length in all images, if that is asked for, and
    multiplied by a number; what goes beside it is multiplied by another.
    """

    learned: Tensor
    beside: Tensor
    has_unit_length = False  # of what was saved before there was such a thing

    def __init__(self, *, has_unit_length: bool) -> None:
        super().__init__()
        self.has_unit_length = has_unit_length
        self.register_buffer("learned", torch.ones(()))
        self.register_buffer("beside", torch.ones(()))

    def forward(self, rows: Tensor, beside: Tensor | None) -> tuple[Tensor, ...]:
        """Scale what is learned (n, n_dims), and what goes beside it if anything."""
        if self.has_unit_length:
            rows = F.normalize(rows.float()) * math.sqrt(rows.shape[1])
        rows = rows * self.learned
        return (rows,) if beside is None else (rows.float(), beside * self.beside)

    def extra_repr(self) -> str:
        """Show where the module is printed whether rows are of one length."""
        return f"has_unit_length={self.has_unit_length}"


class Mirror(nn.Module):
    """Rows of which a share is those of the mirror image.

    What tells an image from its mirror image, which seldom says what it shows, counts
    less by it.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, rows: Tensor, mirrored: Tensor) -> Tensor:
        """Mix rows of images with those of their mirror images, both (n, n_dims)."""
        return torch.lerp(rows.float(), mirrored.float(), self.share)

    def extra_repr(self) -> str:
        """Show the share where the module is printed."""
        return f"{self.share}"


class ImageEncoder(nn.Sequential):
    """The parts by name: (resize), normalize, network, readout, and what may follow.

    BYOL trains the first ones, up to the readout. Histograms of oriented gradients go
    beside what is learned, by `gradients`. By `mirror` a share of both is of the mirror
    image, and by `scale` their columns vary by 1 on average.
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
    def has_unit_length(self) -> bool:
        """Whether what is learned is of one length in all images."""
        scale = getattr(self, "scale", None)
        return isinstance(scale, Scale) and scale.has_unit_length

    @property
    def mirrored_share(self) -> float:
        """The share of rows that is of the mirror image."""
        mirror = getattr(self, "mirror", None)
        return mirror.share if isinstance(mirror, Mirror) else 0.0

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

    def forward(self, images: Tensor, *, mirrors: bool = True) -> Tensor:
        """Map (n_images, n_channels, height, width) to (n_images, n_dims).

        Mirror images can be left out.
        """
        parts = dict(self.named_children())
        for name in BEFORE:
            images = parts[name](images) if name in parts else images
        network, readout = parts["network"], parts["readout"]
        rows: Tensor = readout(network(images))
        gradients, scale = parts.get("gradients"), parts.get("scale")
        beside = None if gradients is None else gradients(images)
        if mirrors and "mirror" in parts:
            mirrored = readout(network(images.flip(-1)))
            rows = parts["mirror"](rows, mirrored)
            if isinstance(gradients, OrientedGradients) and beside is not None:
                beside = parts["mirror"](beside, gradients.mirrored(beside))
        if scale is not None:
            return torch.cat(scale(rows, beside), dim=1)
        return rows if beside is None else torch.cat([rows.float(), beside], dim=1)
