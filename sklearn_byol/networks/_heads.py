"""The head of a classifier that a user's module still ends in."""

import copy
from contextlib import suppress

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import EncoderWarning, warn
from sklearn_byol.networks._inputs import ImageShape
from sklearn_byol.networks._layers import gray_images, in_code, in_words, watched

# What heads are called, where a convolution may be one or not: in the last part of its
# name that is no number.
NAMES = {"fc", "classifier", "head", "heads", "last_linear", "logits", "output"}
LARGEST = 2.0  # of the outputs that are put in place of a layer's own, of both signs

Head = tuple[str, nn.Module]  # its name in the module, and the layer


def head_of(network: nn.Module, image_shape: ImageShape) -> Head | None:
    """Find the head of a classifier that a module ends in, as far as can be seen.

    It is a Linear that follows other layers with weights, and whose outputs are those
    of the module, or their probabilities; or a 1x1 convolution that is called as heads
    are, and averaged. A copy of the module is tried on two gray images. None where
    there is no such layer, or the module cannot take the images.
    """
    with suppress(Exception), torch.random.fork_rng(devices=[]), torch.no_grad():
        tried = copy.deepcopy(network).cpu().eval()
        name = _last_layer(tried, image_shape)
        if name is not None and _is_head(tried, name, image_shape):
            return name, network.get_submodule(name)
    return None


def warn_of_head(network: nn.Module, image_shape: ImageShape) -> None:
    """Warn where a module ends in what is most likely the head of a classifier."""
    network = getattr(network, "_orig_mod", network)  # of one that is compiled
    head = head_of(network, image_shape)
    if head is None:
        return
    name, layer = head
    path = in_code(network, name)
    way_out = f"{path} = torch.nn.Identity()"
    if "get_submodule" in path:
        way_out = f"encoder.set_submodule({name!r}, torch.nn.Identity())"
    warn(
        f"encoder ends in {path.removeprefix('encoder.')}, {in_words(layer)}, whose "
        "outputs would be the representations. If that is the head of a classifier, "
        f"take it off before: {way_out}. If it is meant, silence this by filtering "
        "sklearn_byol.exceptions.EncoderWarning.",
        EncoderWarning,
    )


def _last_layer(network: nn.Module, image_shape: ImageShape) -> str | None:
    """Name the layer with weights that is called last, if it can be a head."""
    with watched(network) as calls:
        network(gray_images(network, image_shape))
    *_, last = (call for call in calls.made if call.has_weights)
    is_alone = not any(c.is_layer and c.module is not last.module for c in calls.made)
    return None if is_alone else last.name


def _is_head(network: nn.Module, name: str, image_shape: ImageShape) -> bool:
    """Tell whether a layer is of a kind that heads are, and nothing is done behind it.

    What is put in place of its outputs has to come out of the network.
    """
    layer = network.get_submodule(name)
    is_point = isinstance(layer, nn.Conv2d) and set(layer.kernel_size) == {1}
    is_named = name.rstrip(".0123456789").rpartition(".")[2] in NAMES
    if not (isinstance(layer, nn.Linear) or (is_point and is_named)):
        return False
    put: list[Tensor] = []

    def replace(_: nn.Module, given: object, output: Tensor) -> Tensor:
        values = torch.linspace(-LARGEST, LARGEST, output.numel(), dtype=output.dtype)
        put.append(values.reshape(output.shape))
        return put[-1].clone()  # which may be changed in place

    hook = layer.register_forward_hook(replace)
    try:
        found = network(gray_images(network, image_shape)).flatten(1)
    finally:
        hook.remove()
    return any(_is_same(found, expected) for expected in _expected(put[-1]))


def _expected(outputs: Tensor) -> list[Tensor]:
    """List what a network returns that ends in a head, from the head's outputs."""
    if outputs.ndim == 4:
        averages = outputs.mean(dim=(2, 3)), outputs.relu().mean(dim=(2, 3))
        return [*averages]
    rows = outputs.flatten(1)
    return [rows, rows.softmax(1), rows.log_softmax(1), rows.sigmoid()]


def _is_same(found: Tensor, expected: Tensor) -> bool:
    """Tell whether two tensors have one shape and the same values, but for rounding."""
    return found.shape == expected.shape and torch.allclose(found, expected)
