"""Where an encoder that knows images already begins: weights, stem, normalisation."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from sklearn_byol.networks._encoders import (
    PREFIX,
    Encoder,
    EncoderSpecification,
    convolutions,
    timm_encoder,
    torchvision_with,
)
from sklearn_byol.networks._weights import Match, Weights, best_match, read_weights

Statistics = tuple[Sequence[float], Sequence[float]]  # means and standard deviations

IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pretrained_start(
    given: EncoderSpecification, weights: str | os.PathLike[str]
) -> tuple[EncoderSpecification, Match]:
    """Find the weights, and what to build the encoder from that takes most of them."""
    encoder, (n_channels, *size) = given.encoder, given.image_shape
    # Gray images go into all three channels of a network that is used to colours.
    widths = [3, 1] if n_channels == 1 else [n_channels]
    of_colours, stems = IMAGENET, [True]
    if str(weights) == "pretrained":
        found, of_colours = _published(given, widths[0])
        widths = widths[:1]
    else:
        found, keeps_stem = read_weights(weights)
        stems = _stems(encoder, found, keeps_stem)
    found = _resized(found, encoder, max(size))
    starts = []
    for n_inputs, keeps_stem in product(widths, stems):
        mean, std = of_colours if n_inputs == 3 else (given.mean, given.std)
        tried = replace(given, mean=[*mean], std=[*std], keeps_stem=keeps_stem)
        built = tried.build()
        match = best_match(found, built)
        # Named networks are built for any number of channels, a user's are not.
        fits = all(m.in_channels == n_inputs for _, m in convolutions(built)[:1])
        starts.append((fits, tried, match))
    _, best, match = max(starts, key=lambda start: (start[0], start[2].n_values))
    return best, match


def _stems(encoder: Encoder, found: Weights, keeps_stem: bool | None) -> list[bool]:
    """Say which first layers to try, those that fit as well as others first."""
    if not isinstance(encoder, str) or encoder == "auto":
        return [False]
    if keeps_stem is not None:
        return [keeps_stem]
    # A stride leaves no trace in the weights: an `encoder_` was most likely trained
    # with the stride that suits small images, other networks with their authors'.
    return [False, True] if "normalize.mean" in found else [True, False]


def _resized(found: Weights, encoder: Encoder, side: int) -> Weights:
    """Interpolate the positions of torchvision's vision transformers to the image."""
    is_vit = isinstance(encoder, str) and encoder.startswith("vit_")
    if not is_vit or not {"encoder.pos_embedding", "conv_proj.weight"} <= set(found):
        return found
    from torchvision.models import vision_transformer as vit  # noqa: PLC0415  slow

    patch = found["conv_proj.weight"].shape[-1]
    return dict(vit.interpolate_embeddings(side, patch, OrderedDict(found)))


def _published(
    given: EncoderSpecification, n_channels: int
) -> tuple[Weights, Statistics]:
    """Take the weights that a library has of a network, and what they are used to."""
    encoder = given.encoder
    if not isinstance(encoder, str) or encoder == "auto":
        raise ValueError(
            "weights='pretrained' needs an encoder with published weights, such as "
            "'resnet18' or 'timm/resnet18'. Got encoder="
            f"{encoder if isinstance(encoder, str) else type(encoder).__name__}."
        )
    if not encoder.startswith(PREFIX):
        return _of_torchvision(encoder)
    network = timm_encoder(  # fits them to image size and channels by itself
        encoder,
        (n_channels, *given.image_shape[1:]),
        keeps_map=given.readout not in {"auto", 1},
        keeps_stem=True,
        is_pretrained=True,
    )
    used_to: dict[str, Sequence[float]] = network.pretrained_cfg  # type: ignore[assignment]
    return dict(network.state_dict()), (used_to["mean"], used_to["std"])


def _of_torchvision(name: str) -> tuple[Weights, Statistics]:
    """Take torchvision's best weights, from its cache or from the network."""
    best = torchvision_with(name).get_model_weights(name).DEFAULT
    path = Path(torch.hub.get_dir(), "checkpoints", Path(best.url).name)
    try:
        found = dict(best.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error}. They are "
            f"{best.url}; put that file at {path}, or pass its path as weights."
        ) from error
    used_to = best.transforms()
    return found, (used_to.mean, used_to.std)
