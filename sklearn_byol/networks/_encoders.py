"""First layers made for 224 pixels, fitted to small images and to any channels."""

import copy
import difflib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sklearn_byol.networks._byol import BYOLNetwork
from sklearn_byol.networks._layers import Normalize, Readout, read_on_grid
from sklearn_byol.networks._residual import (
    NECK_CELLS,
    ResidualEncoder,
    auto_encoder,
    auto_readout,
)

__all__ = [
    "PREFIX",
    "build_byol_network",
    "build_encoder",
    "fit_stem",
    "is_complete",
    "named_encoder",
    "representation_dim",
    "timm_encoder",
]


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


PREFIX = "timm/"


def timm_encoder(
    name: str,
    image_shape: tuple[int, int, int],
    *,
    keeps_map: bool,
    keeps_stem: bool = False,
    is_pretrained: bool = False,
) -> nn.Module:
    """Build a network of timm by name, without its classification head.

    Parameters
    ----------
    name : str
        "timm/" and a name that `timm.list_models()` lists.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    keeps_map : bool
        Whether the feature map is returned as it is, to be read out on a grid.
    keeps_stem : bool, default=False
        Whether the first convolution keeps its size and stride.
    is_pretrained : bool, default=False
        Whether timm's own weights are put in; the stem is kept for them.

    Returns
    -------
    nn.Module
        A module with random weights, or timm's.

    Raises
    ------
    ValueError
        If timm has no network of this name, or not for this size, or no weights of it.
    OSError
        If its weights are neither in the cache nor to be had.
    ImportError
        If timm is not installed.
    """
    try:
        import timm  # noqa: PLC0415  optional
    except ImportError as error:
        raise ImportError(
            f"encoder={name!r} needs timm. Install it: pip install 'sklearn-byol[timm]'"
        ) from error
    known = name.removeprefix(PREFIX)
    if not timm.is_model(known):
        close = difflib.get_close_matches(known, timm.list_models(), n=3, cutoff=0.5)
        raise ValueError(
            f"encoder={name!r} is not a network of timm {timm.__version__}. Close to "
            f"it: {', '.join(repr(PREFIX + other) for other in close) or 'nothing'}."
        )
    n_channels, height, width = image_shape
    published = timm.get_pretrained_cfg(known)
    if is_pretrained and (published is None or not published.has_weights):
        raise ValueError(
            f"weights='pretrained': timm has no weights of encoder={name!r}. Choose "
            "one of timm.list_models(pretrained=True)."
        )
    options: dict[str, Any] = {"global_pool": ""} if keeps_map else {}
    if published is not None and published.fixed_input_size:
        options["img_size"] = (height, width)
    try:
        network = timm.create_model(
            known,
            pretrained=is_pretrained,
            num_classes=0,
            in_chans=n_channels,
            **options,
        )
    except OSError as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error} They are "
            f"those of {getattr(published, 'hf_hub_id', known)!r} on the Hugging Face "
            "Hub; have huggingface_hub put them into its cache (HF_HOME), or pass the "
            "path of its model.safetensors as weights."
        ) from error
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"encoder={name!r} cannot be built for {height}x{width} pixels: {error} "
            "Choose another encoder, such as 'auto', or resize the images."
        ) from error
    if not keeps_stem and not is_pretrained:
        fit_stem(network, n_channels, side=max(height, width))
    return network


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
