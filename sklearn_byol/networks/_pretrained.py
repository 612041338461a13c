"""Where an encoder that knows images already begins: weights, stem, normalisation."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from sklearn_byol.networks._encoders import (
    PREFIX,
    Encoder,
    ImageShape,
    build_encoder,
    check_name,
    timm_encoder,
)
from sklearn_byol.networks._weights import (
    Match,
    Weights,
    best_match,
    load_match,
    read_weights,
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Statistics = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class PretrainedStart:
    """What `build_encoder` and `load_match` need for weights of another training."""

    mean: Sequence[float]  # the normalisation that the weights are used to
    std: Sequence[float]
    keeps_stem: bool  # whether first layers are left as the network's authors made them
    match: Match
    source: str  # where the weights come from

    def load(self, encoder: nn.Sequential) -> None:
        """Put the weights into an encoder that was built for them."""
        load_match(encoder, self.match, self.source)


def pretrained_start(
    encoder: Encoder,
    image_shape: ImageShape,
    statistics: Statistics,
    readout: int | str,
    weights: str | os.PathLike[str],
) -> PretrainedStart:
    """Find the weights, and the encoder for such images that takes most of them."""
    source, is_named = str(weights), isinstance(encoder, str) and encoder != "auto"
    of_colours: Statistics = (IMAGENET_MEAN, IMAGENET_STD)
    # Gray images go into all three channels of a network that is used to colours.
    widths = [3, 1] if image_shape[0] == 1 else [image_shape[0]]
    stems = [True]
    if source != "pretrained":
        found, keeps_stem = read_weights(weights)
        found = _resized(found, encoder, image_shape)
        stems = _stems(found, keeps_stem) if is_named else [False]
        if not isinstance(encoder, str):  # named networks are built for any number
            widths = _taken(encoder, image_shape, widths)
    elif not isinstance(encoder, str) or encoder == "auto":
        raise ValueError(
            "weights='pretrained' needs an encoder with published weights, such as "
            "'resnet18' or 'timm/resnet18'. Got encoder="
            f"{encoder if isinstance(encoder, str) else type(encoder).__name__}."
        )
    else:
        of_library = _of_timm if encoder.startswith(PREFIX) else _of_torchvision
        found, of_colours = of_library(encoder, image_shape, readout)
        widths = widths[:1]
    starts = []
    for n_inputs in widths:
        chosen = of_colours if n_inputs == 3 else statistics
        for keeps_stem in stems:
            built = build_encoder(
                encoder, image_shape, *chosen, readout, keeps_stem=keeps_stem
            )
            match = best_match(found, built)
            starts.append(PretrainedStart(*chosen, keeps_stem, match, source))
    return max(starts, key=lambda start: start.match.n_values)


def _stems(found: Weights, keeps_stem: bool | None) -> list[bool]:
    """Say which first layers to try, those that fit as well as others first."""
    if keeps_stem is not None:
        return [keeps_stem]
    # A stride leaves no trace in the weights: an `encoder_` was most likely trained
    # with the stride that suits small images, other networks with their authors'.
    return [False, True] if "normalize.mean" in found else [True, False]


def _taken(encoder: Encoder, image_shape: ImageShape, widths: list[int]) -> list[int]:
    """Leave the numbers of channels that a module of the user's takes, if it shows."""
    built = build_encoder(encoder, image_shape, [0.0], [1.0])
    first = next((m for m in built.modules() if isinstance(m, nn.Conv2d)), None)
    return [n for n in widths if first is None or n == first.in_channels] or widths


def _resized(found: Weights, encoder: Encoder, image_shape: ImageShape) -> Weights:
    """Interpolate the positions of torchvision's vision transformers to the image."""
    is_vit = isinstance(encoder, str) and encoder.startswith("vit_")
    if not is_vit or not {"encoder.pos_embedding", "conv_proj.weight"} <= set(found):
        return found
    from torchvision.models import vision_transformer  # noqa: PLC0415  slow

    patch = found["conv_proj.weight"].shape[-1]
    resized: Weights = vision_transformer.interpolate_embeddings(
        max(image_shape[1:]), patch, OrderedDict(found)
    )
    return resized


def _of_torchvision(
    name: str, image_shape: ImageShape, _: int | str
) -> tuple[Weights, Statistics]:
    """Take torchvision's best weights, from its cache or from the network."""
    from torchvision import models  # noqa: PLC0415  slow

    check_name(name, models)
    best = models.get_model_weights(name).DEFAULT
    path = Path(torch.hub.get_dir(), "checkpoints", Path(best.url).name)
    try:
        found = dict(best.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error}. They are "
            f"{best.url}; put that file at {path}, or pass its path as weights."
        ) from error
    used_to = best.transforms()
    statistics = tuple(used_to.mean), tuple(used_to.std)
    return _resized(found, name, image_shape), statistics


def _of_timm(
    name: str, image_shape: ImageShape, readout: int | str
) -> tuple[Weights, Statistics]:
    """Take timm's weights, which it fits to image size and channels by itself."""
    n_channels, height, width = image_shape
    shape = (3 if n_channels == 1 else n_channels, height, width)
    network = timm_encoder(
        name, shape, keeps_map=readout not in {"auto", 1}, is_pretrained=True
    )
    used_to: dict[str, Sequence[float]] = network.pretrained_cfg  # type: ignore[assignment]
    statistics = tuple(used_to["mean"]), tuple(used_to["std"])
    return dict(network.state_dict()), statistics
