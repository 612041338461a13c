"""Where an encoder that knows images already begins: weights, stem, normalisation."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from sklearn_byol.exceptions import WeightsWarning, warn
from sklearn_byol.networks._encoders import (
    PREFIX,
    Encoder,
    EncoderSpecification,
    convolutions,
    is_complete,
    timm_encoder,
    torchvision_with,
    wanted_size,
)
from sklearn_byol.networks._inputs import Statistics, resized_shape
from sklearn_byol.networks._weights import SILENCE, Match, best_match
from sklearn_byol.networks._weights_file import (
    Weights,
    WeightsFile,
    existing_file,
    read_weights,
)

# The path of a file, perhaps with the prefix of one of several networks in it.
Source = str | os.PathLike[str] | tuple[str | os.PathLike[str], str]

PUBLISHED = "pretrained"
OF_ROWS = ("scale.learned", "scale.beside")  # what rows are multiplied by
IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def path_and_prefix(weights: Source) -> tuple[str | os.PathLike[str], str | None]:
    """Return the path of weights, and the prefix if one was chosen."""
    match weights:
        case (str() | os.PathLike() as path, str() as prefix) if path != PUBLISHED:
            return path, prefix
        case str() | os.PathLike():
            return weights, None
    raise ValueError(
        "weights must be 'pretrained', the path of a file, or a pair of the path of a "
        f"file and a prefix of the names in it. Got {weights!r}."
    )


def check_weights(encoder: Encoder, weights: Source) -> None:
    """Refuse weights that cannot be found, before anything is read."""
    path, _ = path_and_prefix(weights)
    if str(path) != PUBLISHED:
        existing_file(path)
    elif isinstance(encoder, str) and encoder == "auto":
        raise ValueError(
            "weights='pretrained' needs an encoder with published weights, such as "
            "'resnet18' or 'timm/resnet18', or a module with weights of its own. Got "
            "encoder='auto'."
        )


def pretrained_start(
    given: EncoderSpecification, weights: Source, stated: Statistics | None = None
) -> tuple[EncoderSpecification, Match | None]:
    """Find the weights, and what to build the encoder from that takes most of them.

    There is no match where a module brings weights of its own. Statistics of what goes
    in that are stated go before those that are known of the weights.
    """
    path, prefix = path_and_prefix(weights)
    if str(path) == PUBLISHED and is_complete(given.encoder):
        return given, None
    n_channels = given.image_shape[0]
    # Gray images go into all three channels of a network that is used to colours.
    widths = [3, 1] if n_channels == 1 else [n_channels]
    known, of_weights, stems = _known(given, path, prefix, widths[0])
    given = _as_said(given, known)
    taken = of_weights if stated is None else stated
    if taken is not None and len(taken[0]) == 3:
        widths = [3]
    starts = []
    for n_inputs, keeps_stem in product(widths, stems):
        usual = IMAGENET if n_inputs == 3 else (given.mean, given.std)
        n_times = n_inputs // len(taken[0]) if taken else 1
        mean, std = ([*part] * n_times for part in taken or usual)
        tried = replace(given, mean=mean, std=std, keeps_stem=keeps_stem)
        built = tried.build()
        # Named networks are built for any number of channels, a user's are not.
        fits = all(m.in_channels == n_inputs for _, m in convolutions(built)[:1])
        match, side = None, max(resized_shape(given.image_shape, tried.side)[1:])
        if known.weights:
            found = _resized(known.weights, given.encoder, side)
            made = given.n_cells, given.mirrored_share
            if made != (known.hog, known.mirror):  # its numbers are of other rows
                found = {k: w for k, w in found.items() if not k.endswith(OF_ROWS)}
            match = best_match(found, built, prefix, is_stated=stated is not None)
        starts.append((fits, match.n_values if match else 0, tried, match))
    *_, best, match = max(starts, key=lambda start: start[:2])
    if not taken and match is not None and "normalize.mean" not in match.weights:
        _warn_of_metadata(known, path, best)
    return best, match


def _as_said(given: EncoderSpecification, known: WeightsFile) -> EncoderSpecification:
    """Take what a file says of what goes around the network, unless it is stated."""
    if given.input_size == "auto":
        given = replace(given, input_size=known.input_size)
    if isinstance(given.hog, str):
        given = replace(given, hog=known.hog)
    if isinstance(given.is_scaled, str):
        given = replace(given, is_scaled=known.unit_variance)
    if isinstance(given.unit_length, str):
        given = replace(given, unit_length=known.unit_length)
    if isinstance(given.mirror, str):
        given = replace(given, mirror=known.mirror)
    return given


def _warn_of_metadata(
    file: WeightsFile, path: str | os.PathLike[str], built: EncoderSpecification
) -> None:
    """Warn where a file says something of mean and deviation that cannot be used."""
    said = file.said_of_statistics()
    if not said:
        return
    whose = "ImageNet's" if len(built.mean) == 3 else "those of the images"
    warn(
        f"weights={os.fspath(path)!r} says {said} in its metadata, which cannot be "
        "used: both must be there, in JSON, each a number or one for each channel, "
        f"{built.image_shape[0]} here, of pixels in [0, 1]. Mean and deviation are "
        f"{whose} instead; state others by normalization. {SILENCE}",
        WeightsWarning,
    )


def _known(
    given: EncoderSpecification,
    path: str | os.PathLike[str],
    prefix: str | None,
    n_channels: int,
) -> tuple[WeightsFile, Statistics | None, list[bool]]:
    """Read or fetch weights; say what goes in, if known, and which stems to try."""
    if str(path) != PUBLISHED:
        file = read_weights(path, prefix or "")
        stems = _stems(given.encoder, file.weights, file.keeps_stem)
        return file, file.statistics(given.image_shape[0]), stems
    if not isinstance(given.encoder, str):
        return WeightsFile({}), None, [False]
    found, statistics = _published(given.encoder, given, n_channels)
    return WeightsFile(found), statistics if n_channels == 3 else None, [True]


def _stems(encoder: Encoder, found: Weights, keeps_stem: bool | None) -> list[bool]:
    """Say which first layers to try, those that fit as well as others first."""
    if not isinstance(encoder, str) or encoder == "auto":
        return [False]
    if keeps_stem is not None:
        return [keeps_stem]
    # A stride leaves no trace in the weights: an `encoder_` was most likely trained
    # with the stride that suits small images, other networks with their authors'.
    is_ours = any(name.endswith("normalize.mean") for name in found)
    if not is_ours and wanted_size(encoder)[1]:
        return [True]
    return [False, True] if is_ours else [True, False]


def _resized(found: Weights, encoder: Encoder, side: int) -> Weights:
    """Interpolate the positions of torchvision's vision transformers to the image."""
    is_vit = isinstance(encoder, str) and encoder.startswith("vit_")
    if not is_vit or not {"encoder.pos_embedding", "conv_proj.weight"} <= set(found):
        return found
    from torchvision.models import vision_transformer as vit  # noqa: PLC0415  slow

    patch = found["conv_proj.weight"].shape[-1]
    return dict(vit.interpolate_embeddings(side, patch, OrderedDict(found)))


def _published(
    encoder: str, given: EncoderSpecification, n_channels: int
) -> tuple[Weights, Statistics]:
    """Take the weights that a library has of a network, and what they are used to."""
    if not encoder.startswith(PREFIX):
        return _of_torchvision(encoder)
    _, *size = resized_shape(given.image_shape, replace(given, keeps_stem=True).side)
    network = timm_encoder(  # fits them to image size and channels by itself
        encoder,
        (n_channels, size[0], size[1]),
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
