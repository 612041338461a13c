"""Where an encoder that knows images already begins: weights, stem, normalisation."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_byol.networks._encoders import PREFIX, build_encoder, timm_encoder
from sklearn_byol.networks._weights import (
    Match,
    Weights,
    best_match,
    load_match,
    read_stem,
    read_weights,
)

__all__ = ["PretrainedStart", "pretrained_start"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Statistics = tuple[Sequence[float], Sequence[float]]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PretrainedStart:
    """What `build_encoder` and `load_match` need for weights of another training.

    Attributes
    ----------
    mean, std : sequence of float
        Normalisation that the weights are used to.
    keeps_stem : bool
        Whether first layers are left as the network's authors made them.
    match : Match
        The weights.
    source : str
        Where they come from.
    """

    mean: Sequence[float]
    std: Sequence[float]
    keeps_stem: bool
    match: Match
    source: str

    def load(self, encoder: nn.Sequential) -> None:
        """Put the weights into an encoder that was built for them."""
        load_match(encoder, self.match, self.source)


def pretrained_start(
    encoder: str | nn.Module | Callable[[], nn.Module],
    image_shape: Shape,
    statistics: Statistics,
    readout: int | str,
    weights: str | os.PathLike[str],
) -> PretrainedStart:
    """Find the weights, and the encoder that takes most of them.

    Named networks keep the stem that the weights were trained in. Gray images go into
    all three channels of a network that is used to colours. A network for other numbers
    of channels repeats the weights of the three in its first layer, scaled to the same
    sum. Normalisation is what the weights come with, else ImageNet's for a network of
    three channels, else that of X.

    Parameters
    ----------
    encoder, readout, weights
        As in `BYOLTransformer`.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    statistics : (mean, std)
        Of the channels of X.

    Returns
    -------
    PretrainedStart
        Where to begin.

    Raises
    ------
    ValueError
        If there are no such weights, or they do not fit.
    OSError
        If published weights are neither on this machine nor to be had.
    ImportError
        If a library that is needed is not installed.
    """
    source, found, published = str(weights), {}, None
    if source != "pretrained":
        found = _resized(read_weights(weights), encoder, image_shape)
    elif not isinstance(encoder, str) or encoder == "auto":
        raise ValueError(
            "weights='pretrained' needs an encoder with published weights, such as "
            "'resnet18' or 'timm/resnet18'. Got encoder="
            f"{encoder if isinstance(encoder, str) else type(encoder).__name__}."
        )
    elif encoder.startswith(PREFIX):
        found, published = _of_timm(encoder, image_shape, readout)
    else:
        found, published = _of_torchvision(encoder, image_shape)
    is_named = isinstance(encoder, str) and encoder != "auto"
    stems = [True] if published else [True, False] if is_named else [False]
    if is_named and source != "pretrained":
        stems = _stems(weights, found)
    widths = [3, 1] if image_shape[0] == 1 else [image_shape[0]]
    if not isinstance(encoder, str):  # named networks are built for any number
        widths = _taken(encoder, image_shape, widths)
    starts = []
    for n_inputs in widths[: 1 if published else None]:
        chosen = _statistics(n_inputs, statistics, published)
        for keeps_stem in stems:
            built = build_encoder(
                encoder, image_shape, *chosen, readout, keeps_stem=keeps_stem
            )
            match = best_match(found, built)
            starts.append(PretrainedStart(*chosen, keeps_stem, match, source))
    return max(starts, key=lambda start: start.match.n_values)


def _stems(path: str | os.PathLike[str], found: Weights) -> list[bool]:
    """Say which first layers to try, those that fit as well as others first.

    A stride leaves no trace in the weights: an `encoder_` was most likely trained with
    the stride that suits small images, other networks with their authors'.
    """
    said = read_stem(path)
    if said is not None:
        return [said]
    return [False, True] if "normalize.mean" in found else [True, False]


def _taken(encoder: Any, image_shape: Shape, widths: list[int]) -> list[int]:
    """Leave the numbers of channels that a module of the user's takes, if it shows."""
    built = build_encoder(encoder, image_shape, [0.0], [1.0])
    first = next((m for m in built.modules() if isinstance(m, nn.Conv2d)), None)
    return [n for n in widths if first is None or n == first.in_channels] or widths


def _statistics(
    n_inputs: int, own: Statistics, published: Statistics | None
) -> Statistics:
    """Choose the normalisation of a network for so many channels."""
    if n_inputs == 3:
        return published or (IMAGENET_MEAN, IMAGENET_STD)
    return own


def _of_torchvision(name: str, image_shape: Shape) -> tuple[Weights, Statistics]:
    """Take torchvision's best weights, from its cache or from the network."""
    from torchvision import models  # noqa: PLC0415  slow

    try:
        best = models.get_model_weights(name).DEFAULT
    except ValueError as error:
        raise ValueError(
            f"encoder={name!r} is no network of torchvision: {error}."
        ) from error
    path = Path(torch.hub.get_dir(), "checkpoints", Path(best.url).name)
    try:
        found = dict(best.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error}. They are "
            f"{best.url}; put that file at {path}, or pass its path as weights."
        ) from error
    transform = best.transforms()
    return _resized(found, name, image_shape), (
        tuple(transform.mean),
        tuple(transform.std),
    )


def _resized(found: Weights, encoder: Any, image_shape: Shape) -> Weights:
    """Interpolate the positions of torchvision's vision transformers to the image."""
    is_vit = isinstance(encoder, str) and encoder.startswith("vit_")
    if not is_vit or not {"encoder.pos_embedding", "conv_proj.weight"} <= set(found):
        return found
    from torchvision.models import vision_transformer  # noqa: PLC0415  slow

    patch = found["conv_proj.weight"].shape[-1]
    resized: dict[str, Any] = vision_transformer.interpolate_embeddings(
        max(image_shape[1:]), patch, OrderedDict(found)
    )
    return resized


def _of_timm(
    name: str, image_shape: Shape, readout: int | str
) -> tuple[Weights, Statistics]:
    """Take timm's weights, which it fits to image size and channels by itself."""
    n_channels, height, width = image_shape
    shape = (3 if n_channels == 1 else n_channels, height, width)
    network = timm_encoder(
        name, shape, keeps_map=readout not in {"auto", 1}, is_pretrained=True
    )
    configuration: dict[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    found: dict[str, Tensor] = dict(network.state_dict())
    return found, (tuple(configuration["mean"]), tuple(configuration["std"]))
