"""First layers made for 224 pixels, fitted to small images and to any channels."""

from typing import Any

from torch import nn

__all__ = ["fit_stem"]


def fit_stem(network: nn.Module, n_channels: int, side: int) -> None:
    """Give the first convolution the image's channels, and small images its stride.

    Images of 64 pixels or less keep their side through a first convolution of stride 2,
    since a network made for 224 pixels would reduce them to a single point. A residual
    network takes a 3x3 convolution there, and loses the max-pool behind it at 32 pixels
    or less.

    Parameters
    ----------
    network : nn.Module
        The network, changed in place.
    n_channels : int
        Channels of the images.
    side : int
        Longer side of the images, in pixels.
    """
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
