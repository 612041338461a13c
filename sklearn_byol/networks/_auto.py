"""The encoder that is sized to the image: encoder="auto"."""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ResidualEncoder", "auto_encoder", "auto_readout"]


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

    Parameters
    ----------
    n_channels : int
        Channels of the images.
    n_stages : int, default=4
        Blocks; the last one has width * 2 ** (n_stages - 1) channels.
    width : int, default=32
        Channels of the first stage.
    stem_stride : int, default=1
        How many times the stem reduces the side: 1, 2 or 4.
    """

    def __init__(
        self,
        n_channels: int,
        n_stages: int = 4,
        width: int = 32,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(
                n_channels, width, 3, 2 if stem_stride > 2 else 1, padding=1, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1) if stem_stride > 1 else nn.Identity(),
        )
        widths = [width * 2**stage for stage in range(n_stages)]
        self.stages = nn.Sequential(
            *(
                ResidualBlock(n_inputs, n_outputs, stride=1 if stage == 0 else 2)
                for stage, (n_inputs, n_outputs) in enumerate(
                    zip([width, *widths], widths, strict=False)
                )
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, n_channels, height, width) to (n, n_maps, map_height, map_width)."""
        return self.stages(self.stem(images))


def auto_encoder(image_shape: tuple[int, int, int]) -> ResidualEncoder:
    """Size a residual encoder to images of shape (n_channels, height, width).

    Images up to 32 pixels keep their side through the stem, up to 64 it is halved,
    above it is quartered. Four stages follow, three below 16 pixels, two below 8.
    """
    n_channels, height, width = image_shape
    if min(height, width) < 8:
        return ResidualEncoder(n_channels, n_stages=2)
    side = max(height, width)
    return ResidualEncoder(
        n_channels,
        n_stages=3 if side < 16 else 4,
        stem_stride=1 if side <= 32 else 2 if side <= 64 else 4,
    )


def auto_readout(image_shape: tuple[int, int, int]) -> int:
    """Choose the cells on each side of the grid that `auto_encoder` is read out on.

    Two; below 8 pixels there is nothing to lay a grid on.
    """
    return 2 if min(image_shape[1:]) >= 8 else 1
