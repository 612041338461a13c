"""torchvision's classifiers as encoders: head removed, stem fitted to the image."""

import difflib
from types import ModuleType
from typing import Any

from torch import nn

from sklearn_byol.networks._stem import fit_stem

__all__ = ["named_encoder"]

OF_INCEPTION = {"googlenet", "inception_v3"}
N_CLASSES = 1000  # what torchvision's classifiers end in; tells the head from the rest


def named_encoder(
    name: str, image_shape: tuple[int, int, int], *, keeps_stem: bool = False
) -> nn.Module:
    """Build a torchvision classifier by name, without its classification head.

    The first convolution takes as many channels as the images have. Images of 64 pixels
    or less keep their side through a first convolution of stride 2, since a network
    made for 224 pixels would reduce them to a single point; the max-pool of a residual
    network's stem goes at 32 pixels or less.

    Parameters
    ----------
    name : str
        A name that `torchvision.models.list_models(module=torchvision.models)` lists.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    keeps_stem : bool, default=False
        Whether the first convolution keeps its size and stride, as weights of another
        training need it, and only takes the channels.

    Returns
    -------
    nn.Module
        A module with random weights.

    Raises
    ------
    ValueError
        If torchvision has no classifier of this name.
    """
    import torchvision  # noqa: PLC0415  brings torch's compiler along: slow

    options = _options(_known(name, torchvision.models), image_shape)
    if name in OF_INCEPTION and keeps_stem and image_shape[0] == 3:
        options["transform_input"] = True  # what its weights were trained with
    try:
        network = torchvision.models.get_model(name, weights=None, **options)
    except (AssertionError, ValueError) as error:
        height, width = image_shape[1:]
        raise ValueError(
            f"encoder={name!r} cannot be built for {height}x{width} pixels: {error} "
            "Choose another encoder, such as 'auto', or resize the images."
        ) from error
    n_channels, height, width = image_shape
    _remove_head(network)
    fit_stem(network, n_channels, 224 if keeps_stem else max(height, width))
    return network


def _known(name: str, models: ModuleType) -> str:
    """Return the name if torchvision knows it, else raise and suggest others."""
    names = models.list_models(module=models)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
    raise ValueError(
        f"encoder={name!r} is neither 'auto' nor the name of a torchvision classifier. "
        f"Close to it: {', '.join(map(repr, close))}. 'timm/NAME', a module, or a "
        "function that returns one is taken as well."
    )


def _options(name: str, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Arguments that some builders need: no auxiliary heads, the image's own size."""
    options: dict[str, Any] = {}
    if name in OF_INCEPTION:
        options = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        options = {"image_size": max(image_shape[1:])}
    elif name.startswith("maxvit"):
        options = {"input_size": image_shape[1:]}
    return options


def _remove_head(network: nn.Module) -> None:
    """Replace the last layer that gives one number a class by nothing."""
    heads = [
        name
        for name, module in network.named_modules()
        if (isinstance(module, nn.Linear) and module.out_features == N_CLASSES)
        or (isinstance(module, nn.Conv2d) and module.out_channels == N_CLASSES)
    ]
    network.set_submodule(heads[-1], nn.Identity())
