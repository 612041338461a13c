"""Why an encoder cannot take images: which layer refuses what it is given."""

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from sklearn_byol.networks._inputs import ImageShape, Normalize, Resize, resized_shape
from sklearn_byol.networks._layers import (
    Axes,
    Call,
    Calls,
    gray_images,
    in_code,
    in_words,
    watched,
)

Reason = tuple[str, str]  # what is the matter, and what to do

OTHER = "Choose an encoder that can, such as 'auto', or a larger input_size."
LARGER = "Pass larger images or a larger input_size, or choose another encoder."
BEFORE = (
    "Put a layer before it that gives it what it takes, pass larger images, or choose "
    "another encoder."
)
POOL, FLATTEN = "torch.nn.AdaptiveAvgPool2d(1)", "torch.nn.Flatten()"
KINDS = {2: "vectors", 3: "sequences", 4: "maps", 5: "volumes"}  # by number of axes

OF_TORCH = "torch.nn."
CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)


def why_refused(
    encoder: nn.Module, image_shape: ImageShape, error: Exception
) -> Reason:
    """Say which layer of an encoder refuses what, and what to do about it.

    Modules that are not torch's own are left to say it in their words.
    """
    own = str(error).rstrip(". ") or type(error).__name__
    with suppress(Exception):  # of modules whose calls cannot be seen
        return _of_layer(encoder, image_shape, own)
    return own, OTHER


def _of_layer(encoder: nn.Module, image_shape: ImageShape, own: str) -> Reason:
    """Say which layer raises, and why; in words of its own where it is not torch's."""
    network, calls = network_in(encoder), _calls(encoder, image_shape)
    if not calls.not_done:  # it is none of the network's layers
        return _of_channels(encoder, image_shape) or (own, OTHER)
    call, images = calls.not_done[-1], calls.made[0].shape
    if not type(call.module).__module__.startswith(OF_TORCH):
        where = f"{in_code(network, call.name)}, " if call.name else ""
        what = f"{type(call.module).__name__}, given {_given(call.shape, images)}"
        return f"{own} (raised by {where}{what})", OTHER
    reason, way_out = _reason(call.module, call, images)
    return f"{_named(network, call)} {reason}", way_out


def check_first_layer(encoder: nn.Module, image_shape: ImageShape) -> None:
    """Refuse a Linear as the first layer of images, to whose rows torch applies it."""
    resize = getattr(encoder, "resize", None)
    side = resize.side if isinstance(resize, Resize) else None
    *_, width = resized_shape(image_shape, side)
    layers = [it for it in encoder.modules() if isinstance(it, nn.Linear)]
    if not any(layer.in_features == width for layer in layers):
        return
    calls = _calls(copy.deepcopy(encoder), image_shape).made
    first = next((call for call in calls if call.is_layer), None)
    if first is None or not isinstance(first.module, nn.Linear):
        return
    images = calls[0].shape
    if images is not None and first.shape == images:
        reason, way_out = _of_linear(first.module, images, images)
        raise ValueError(
            "encoder begins with a layer that would take each row of pixels for an "
            f"image: {_named(network_in(encoder), first)} {reason}. {way_out}"
        )


def network_in(encoder: nn.Module) -> nn.Module:
    """Find what a user has passed in what is built around it."""
    parts = dict(encoder.named_children())
    is_built = isinstance(parts.get("normalize"), Normalize) and "network" in parts
    return parts["network"] if is_built else encoder


def _calls(encoder: nn.Module, image_shape: ImageShape) -> Calls:
    """Show gray images to an encoder, and note what its network calls."""
    images = gray_images(encoder, image_shape)
    with watched(network_in(encoder)) as calls, suppress(Exception), torch.no_grad():
        encoder(images)
    return calls


def _of_channels(encoder: nn.Module, image_shape: ImageShape) -> Reason | None:
    """Say which channels a complete encoder was built for, if these are others."""
    normalize = getattr(encoder, "normalize", None)
    n_channels = normalize.mean.numel() if isinstance(normalize, Normalize) else 1
    if n_channels in {1, image_shape[0]} or image_shape[0] == 1:
        return None
    return f"it was built for {n_channels} channels", "Pass images that have as many."


def _named(network: nn.Module, call: Call) -> str:
    """Name a layer at the beginning of a sentence: where it is, and what."""
    words = in_words(call.module)
    return f"{in_code(network, call.name)}, {words}," if call.name else words


def _given(shape: Axes | None, images: Axes | None) -> str:
    """Say in words what a layer was given."""
    if shape is None:
        return "no tensor"
    if len(shape) == 4:
        return f"{'images' if shape == images else 'maps'} of {_times(shape[1:])}"
    if len(shape) == 2:
        return f"vectors of {shape[1]} values"
    return f"a tensor of shape {shape}"


def _times(sides: Axes) -> str:
    """Write lengths of axes as a product."""
    return " x ".join(map(str, sides))


def _reason(layer: nn.Module, call: Call, images: Axes | None) -> Reason:
    """Say what a layer of torch takes, what it was given instead, and what to do."""
    weights, shape = next(layer.parameters(recurse=False), None), call.shape
    if weights is not None and call.dtype not in {None, weights.dtype}:
        reason = f"has weights of {weights.dtype} and was given {call.dtype}"
        return reason, "Pass encoder.float()."
    found = None
    for kinds, tell in KNOWN:
        if isinstance(layer, kinds) and shape is not None:
            found = tell(layer, shape, images)
    other = f"refuses {_given(shape, images)}, as its own error above says", BEFORE
    return found or other


def _of_linear(layer: nn.Linear, shape: Axes, images: Axes | None) -> Reason:
    """Say what a Linear takes, and how it gets it."""
    n, given = layer.in_features, _given(shape, images)
    reason = f"takes vectors of {n} values and was given {given}"
    if len(shape) != 4:
        return reason, (
            f"Give it in_features={shape[-1]}, or bring images to the size that it was "
            "made for, by input_size or before."
        )
    before, n_given = FLATTEN, math.prod(shape[1:])
    if shape != images and n != n_given:
        before, n_given = f"{POOL} and {FLATTEN}", shape[1]
    more = "" if n == n_given else f" and give it in_features={n_given}"
    return reason, f"Put {before} before it{more}."


def _of_convolution(layer: Any, shape: Axes, images: Axes | None) -> Reason | None:
    """Say what a convolution takes: kinds of maps, channels, and sizes."""
    n_axes, n, given = len(layer.kernel_size) + 2, layer.in_channels, shape[1]
    if len(shape) == n_axes and n == given:
        return _of_window(layer, shape, images)
    kind = "images" if shape == images and n_axes == len(shape) else KINDS[n_axes]
    channels = "1 channel" if n == 1 else f"{n} channels"
    reason = f"takes {kind} with {channels} and was given {_given(shape, images)}"
    if len(shape) in KINDS.keys() - {2, n_axes}:
        other = type(layer).__name__.replace(f"{n_axes - 2}d", f"{len(shape) - 2}d")
        return reason, f"Take torch.nn.{other} instead."
    if len(shape) != n_axes:
        return reason, BEFORE
    more = f", or pass images with {channels}" if shape == images else ""
    return reason, f"Give it in_channels={given}{more}."


def _of_norm(layer: Any, shape: Axes, images: Axes | None) -> Reason | None:
    """Say what a normalisation takes: kinds of maps, and channels."""
    kind, given = type(layer).__name__, _given(shape, images)
    name = "num_channels" if isinstance(layer, nn.GroupNorm) else "num_features"
    n = getattr(layer, name)
    n_axes = len(shape) if name == "num_channels" else 2 + int(kind[-2])
    if len(shape) != n_axes and (len(shape), n_axes) != (2, 3):
        other = f"{kind[:-2]}{max(len(shape) - 2, 1)}d({shape[1]})"
        taken = "vectors or sequences" if n_axes == 3 else KINDS[n_axes]
        return f"takes {taken} and was given {given}", f"Take torch.nn.{other} instead."
    if n == shape[1]:
        return None
    return f"takes {n} channels and was given {given}", f"Give it {name}={shape[1]}."


def _of_layer_norm(
    layer: nn.LayerNorm, shape: Axes, images: Axes | None
) -> Reason | None:
    """Say which last axes a normalisation takes."""
    wanted = tuple(layer.normalized_shape)
    last = shape[-len(wanted) :]
    if last == wanted:
        return None
    reason = f"takes last axes of {_times(wanted)} and was given"
    return f"{reason} {_given(shape, images)}", f"Give it normalized_shape={last}."


def _of_window(layer: Any, shape: Axes, images: Axes | None) -> Reason | None:
    """Say that maps are smaller than the window of a layer, where they are."""
    sizes = [_each(layer, name) for name in ("kernel_size", "padding", "dilation")]
    windows = [
        (size - 1) * dilation + 1 - 2 * padding
        for size, padding, dilation in zip(*sizes, strict=False)
    ]
    if all(n >= size for n, size in zip(shape[2:], windows, strict=False)):
        return None
    window = "x".join(map(str, sizes[0]))
    return f"has a window of {window} and was given {_given(shape, images)}", LARGER


def _each(layer: Any, name: str) -> tuple[int, ...]:
    """Return a number for each axis; padding in words keeps maps large enough."""
    value = getattr(layer, name, 1 if name == "dilation" else 0)
    if isinstance(value, str):
        value = 0
    return value if isinstance(value, tuple) else (value, value)


KNOWN: tuple[tuple[Any, Callable[..., Reason | None]], ...] = (
    (nn.Linear, _of_linear),
    (CONVOLUTIONS, _of_convolution),
    ((*NORMS, nn.GroupNorm), _of_norm),
    (nn.LayerNorm, _of_layer_norm),
    (POOLS, _of_window),
)
