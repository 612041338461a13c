"""The encoder that is sized to the image: encoder="auto"."""

import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_byol.networks._readout import CellAverage

NECK_CELLS = 2  # on each side of the grid that the projector sees


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, the basic block)."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_outputs)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_inputs != n_outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_inputs, n_outputs, 1, stride, bias=False),
                nn.BatchNorm2d(n_outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_inputs, h, w) to (n, n_outputs, h / stride, w / stride)."""
        residual = F.relu(self.norm1(self.conv1(x)), inplace=True)
        residual = self.norm2(self.conv2(residual))
        return F.relu(residual + self.shortcut(x), inplace=True)


class ResidualEncoder(nn.Module):
    """A narrow residual network for images of any size and any number of channels.

    A stem, then stages of one block each that halve the side and double the width. What
    is left of the image is returned as a feature map.
    """

    def __init__(
        self,
        n_channels: int,
        n_stages: int,
        width: int,  # channels of the first stage
        stem_stride: int,  # how many times the stem reduces the side: 1, 2 or 4
        *,
        has_neck: bool = False,  # training puts one more stage before the projector
    ) -> None:
        super().__init__()
        self.has_neck = has_neck
        widths = [width * 2**stage for stage in range(n_stages)]
        self.n_maps = widths[-1]
        stride = 2 if stem_stride > 2 else 1
        self.stem = nn.Sequential(
            nn.Conv2d(n_channels, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1) if stem_stride > 1 else nn.Identity(),
        )
        self.stages = nn.Sequential(
            ResidualBlock(width, width, stride=1),
            *(ResidualBlock(n // 2, n, stride=2) for n in widths[1:]),
        )
        _draw_weights(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_maps, map_height, map_width)."""
        return self.stages(self.stem(images))

    def build_neck(self) -> nn.Sequential:
        """Build the stage that only training has, from the map to a vector."""
        # What lies nearest to the loss learns to ignore what views change, more than a
        # classifier would like (Bordes et al. 2022, arXiv 2206.13378): thrown away
        # after training with the rest of the projector, a stage is of more use. It
        # need not be wider: as wide as the last stage it costs half, for the same
        # accuracy (benchmarks/README.md).
        block = ResidualBlock(self.n_maps, self.n_maps, stride=2)
        _draw_weights(block)
        return nn.Sequential(block, CellAverage(NECK_CELLS), nn.Flatten())


def _draw_weights(module: nn.Module) -> None:
    """Draw the weights of convolutions (He et al. 2015)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out")


def auto_encoder(image_shape: tuple[int, int, int]) -> ResidualEncoder:
    """Size a residual encoder to images of shape (n_channels, height, width)."""
    n_channels, height, width = image_shape
    if min(height, width) < 16:
        n_stages = 3 if min(height, width) >= 8 else 2
        return ResidualEncoder(n_channels, n_stages, width=32, stem_stride=1)
    side = max(height, width)
    n_stages, stem_stride = 2 if side <= 64 else 3, 2 if side <= 32 else 4
    return ResidualEncoder(n_channels, n_stages, 48, stem_stride, has_neck=True)


def auto_readout(image_shape: tuple[int, int, int]) -> int:
    """Choose the cells on each side of the grid that `auto_encoder` is read out on."""
    n_channels, *sides = image_shape
    if min(sides) < 16:
        return 2 if min(sides) >= 8 else 1
    n_halvings = 2 if max(sides) <= 32 else 3 if max(sides) <= 64 else 4
    map_side = -(-min(sides) // 2**n_halvings)
    # Gray images tend to show one thing in its place.
    return min(4 if n_channels == 1 else 3, map_side)
