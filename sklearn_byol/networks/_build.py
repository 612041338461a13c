"""From what a user passes as `encoder` to a network that takes images in [0, 1]."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sklearn_byol.networks._auto import (
    NECK_CELLS,
    ResidualEncoder,
    auto_encoder,
    auto_readout,
)
from sklearn_byol.networks._byol import BYOLNetwork
from sklearn_byol.networks._named import named_encoder
from sklearn_byol.networks._normalize import Normalize
from sklearn_byol.networks._readout import Readout, read_on_grid
from sklearn_byol.networks._timm import timm_encoder

__all__ = [
    "build_byol_network",
    "build_encoder",
    "is_complete",
    "representation_dim",
]

PARTS = ("normalize", "network", "readout")

ImageShape = tuple[int, int, int]


def build_encoder(
    encoder: str | nn.Module | Callable[[], nn.Module],
    image_shape: ImageShape,
    mean: Sequence[float],
    std: Sequence[float],
    readout: int | str = "auto",
    *,
    keeps_stem: bool = False,
) -> nn.Sequential:
    """Build an encoder with random weights between normalisation and readout.

    Parameters
    ----------
    encoder : str, nn.Module or callable
        "auto", the name of a torchvision classifier, "timm/NAME", a module, of which a
        copy is taken, or a function without arguments that returns a module. A module
        that this function has returned is copied with its normalisation and readout.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    mean, std : sequence of float
        Statistics of the channels of images in [0, 1]. Three of them for gray images
        build a network for colours, which is shown each image three times.
    readout : int or "auto", default="auto"
        Cells on each side of the grid that the last feature map is averaged over. The
        networks of "auto" take what suits the size of the image, others 1.
    keeps_stem : bool, default=False
        Whether first layers of named networks stay as they are made for 224 pixels.

    Returns
    -------
    nn.Sequential
        `normalize`, `network` and `readout`, on the CPU.

    Raises
    ------
    ValueError
        If there is no network of this name, or not for this size, or it has no feature
        map to lay a grid on.
    TypeError
        If a function returns no module.
    ImportError
        If timm is asked for and not installed.
    """
    if is_complete(encoder):
        return _completed(encoder, readout)
    if isinstance(readout, str):
        readout = auto_readout(image_shape) if encoder == "auto" else 1
    input_shape = (len(mean), *image_shape[1:])
    network = _build_network(encoder, input_shape, readout, keeps_stem)
    # torchvision's networks have been read out by themselves.
    is_read = isinstance(encoder, str) and not encoder.startswith(("auto", "timm/"))
    return nn.Sequential(
        OrderedDict(
            normalize=Normalize(mean, std),
            network=network.cpu(),
            readout=Readout(1 if is_read else readout),
        )
    )


def is_complete(encoder: Any) -> TypeGuard[nn.Sequential]:
    """Tell whether a module is what `build_encoder` returns, or a fitted `encoder_`."""
    return (
        isinstance(encoder, nn.Sequential)
        and [name for name, _ in encoder.named_children()] == list(PARTS)
        and isinstance(encoder.get_submodule("normalize"), Normalize)
        and isinstance(encoder.get_submodule("readout"), Readout)
    )


def _completed(encoder: nn.Sequential, readout: int | str) -> nn.Sequential:
    """Copy an encoder, with another readout if one is asked for."""
    encoder = copy.deepcopy(encoder).cpu()
    if not isinstance(readout, str):
        encoder.set_submodule("readout", Readout(readout))
    return encoder


def _build_network(
    encoder: str | nn.Module | Callable[[], nn.Module],
    image_shape: ImageShape,
    readout: int,
    keeps_stem: bool,
) -> nn.Module:
    """Build or copy what turns normalised images into feature maps or vectors."""
    if isinstance(encoder, nn.Module):
        if any(tensor.is_meta for tensor in encoder.state_dict().values()):
            raise ValueError(
                "encoder has weights on the meta device, which have no values. Fill "
                "them with to_empty(device='cpu') and weights of your own."
            )
        return copy.deepcopy(encoder)
    if isinstance(encoder, str):
        if encoder == "auto":
            return auto_encoder(image_shape)
        if encoder.startswith("timm/"):
            return timm_encoder(
                encoder, image_shape, keeps_map=readout > 1, keeps_stem=keeps_stem
            )
        network = named_encoder(encoder, image_shape, keeps_stem=keeps_stem)
        return network if readout == 1 else read_on_grid(network, readout)
    try:
        network = encoder()
    except Exception as error:
        error.add_note(
            f"This is about {encoder=!r}, which is called without arguments."
        )
        raise
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"encoder={encoder!r} must return a torch.nn.Module when called without "
            f"arguments. It returned {network!r}."
        )
    return copy.deepcopy(network)  # the function may hand out one it keeps


def build_byol_network(
    encoder: nn.Module, representation_dim: int, hidden_dim: int, projection_dim: int
) -> BYOLNetwork:
    """Put heads and a target network around an encoder.

    The projector takes representations, or, behind the network of "auto", the feature
    map that they are read from, which its own first stage takes further.

    Parameters
    ----------
    encoder : nn.Module
        What `build_encoder` returns, or any module; trained in place.
    representation_dim, hidden_dim, projection_dim : int
        Widths of a representation, of the heads' hidden layer, and of what is
        predicted.

    Returns
    -------
    BYOLNetwork
        The network, with the encoder's own modules in it.
    """
    network = getattr(encoder, "network", None)
    if not isinstance(network, ResidualEncoder) or not network.has_neck:
        return BYOLNetwork(encoder, representation_dim, hidden_dim, projection_dim)
    trunk = nn.Sequential(encoder.get_submodule("normalize"), network)
    n_inputs = 2 * network.n_maps * NECK_CELLS**2
    return BYOLNetwork(
        trunk, n_inputs, hidden_dim, projection_dim, network.build_neck()
    )


def representation_dim(encoder: nn.Module, image_shape: ImageShape) -> int:
    """Try an encoder on two gray images and return the length of what it gives.

    Parameters
    ----------
    encoder : nn.Module
        From images (n, n_channels, height, width) to (n, representation_dim).
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.

    Returns
    -------
    int
        The length of a representation.

    Raises
    ------
    ValueError
        If the encoder cannot take such images or does not return one vector an image.
    """
    was_training = encoder.training
    output = _try(encoder.eval(), image_shape)
    # Some modules return more in training; the copy keeps the statistics as they are.
    in_training = _try(copy.deepcopy(encoder).train(), image_shape)
    encoder.train(was_training)
    if in_training.shape != output.shape:
        raise ValueError(
            "encoder must return the same shape in training and in evaluation. It "
            f"returned {tuple(in_training.shape)} and {tuple(output.shape)}."
        )
    return output.shape[1]


def _try(encoder: nn.Module, image_shape: ImageShape) -> Tensor:
    """Show two gray images to an encoder and check what it returns."""
    shape = " x ".join(map(str, image_shape))
    try:
        with torch.no_grad():
            output = encoder(torch.full((2, *image_shape), 0.5))
    except Exception as error:
        reason = str(error).rstrip(". ")
        raise ValueError(
            f"encoder cannot take float32 images of shape {shape} (n_channels x height "
            f"x width): {reason}. Choose an encoder that can, such as 'auto', or "
            "resize the images."
        ) from error
    if isinstance(output, Tensor) and not bool(output.isfinite().all()):
        raise ValueError(
            "encoder returned values that are infinite or not a number for gray images "
            f"of shape {shape}. Look for such weights in it, or choose another encoder."
        )
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        got = (
            tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        )
        raise ValueError(
            "encoder must return one vector an image, shape (n_images, n_dims). For 2 "
            f"images of shape {shape} it returned {got!r}. Pool and flatten at its end."
        )
    return output
