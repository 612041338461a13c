"""From what a user passes as `encoder` to a network that takes images in [0, 1]."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sklearn_byol.networks._auto import auto_encoder
from sklearn_byol.networks._named import named_encoder
from sklearn_byol.networks._normalize import Normalize

__all__ = ["build_encoder", "representation_dim"]

ImageShape = tuple[int, int, int]


def build_encoder(
    encoder: str | nn.Module | Callable[[], nn.Module],
    image_shape: ImageShape,
    mean: Sequence[float],
    std: Sequence[float],
) -> nn.Sequential:
    """Build an encoder with random weights behind a layer that normalises its input.

    Parameters
    ----------
    encoder : str, nn.Module or callable
        "auto", the name of a torchvision classifier, a module, of which a copy is
        taken, or a function without arguments that returns a module.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    mean, std : sequence of float of length n_channels
        Statistics of the channels of images in [0, 1].

    Returns
    -------
    nn.Sequential
        `normalize` and `network`, on the CPU.

    Raises
    ------
    ValueError
        If torchvision has no classifier of this name, or not for this size.
    TypeError
        If a function returns no module.
    """
    if isinstance(encoder, nn.Module):
        network = copy.deepcopy(encoder).cpu()
    elif isinstance(encoder, str):
        network = _build_by_name(encoder, image_shape)
    else:
        network = encoder()
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"encoder={encoder!r} must return a torch.nn.Module when called "
                f"without arguments. It returned {network!r}."
            )
        network = copy.deepcopy(network)  # the function may hand out one it keeps
    return nn.Sequential(
        OrderedDict(normalize=Normalize(mean, std), network=network.cpu())
    )


def _build_by_name(name: str, image_shape: ImageShape) -> nn.Module:
    """Build "auto" or one of torchvision's."""
    return (
        auto_encoder(image_shape)
        if name == "auto"
        else named_encoder(name, image_shape)
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
        raise ValueError(
            f"encoder cannot take float32 images of shape {shape} (n_channels x height "
            f"x width): {error} Choose an encoder that can, such as 'auto', or resize "
            "the images."
        ) from error
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        got = (
            tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        )
        raise ValueError(
            "encoder must return one vector an image, shape (n_images, n_dims). For 2 "
            f"images of shape {shape} it returned {got!r}. Pool and flatten at its end."
        )
    return output
