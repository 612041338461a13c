"""The encoder that a training begins with: that of one before, or a new one."""

import os
from typing import TYPE_CHECKING

import torch

from sklearn_byol.estimators._saving import build_encoder
from sklearn_byol.images._containers import AllImages, channel_statistics
from sklearn_byol.networks._encoders import EncoderSpecification, is_complete
from sklearn_byol.networks._heads import warn_of_head
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.networks._inputs import Statistics, check_statistics, resized_shape
from sklearn_byol.networks._pretrained import (
    IMAGENET,
    check_weights,
    path_and_prefix,
    pretrained_start,
)
from sklearn_byol.training._device import seeded_torch
from sklearn_byol.views._pair import mirrors

if TYPE_CHECKING:
    from sklearn_byol.estimators._transformer import BYOLTransformer


def first_encoder(
    estimator: "BYOLTransformer", images: AllImages, seed: int
) -> tuple[ImageEncoder, EncoderSpecification]:
    """Build the encoder, as it was left if there was one; say what it is built of."""
    if estimator.__sklearn_is_fitted__():
        encoder = build_encoder(estimator._specification, seed)
        encoder.load_state_dict(estimator.encoder_.state_dict())
        return encoder, estimator._specification
    stated = _stated(estimator, images.shape[0])
    mean, std = channel_statistics(images) if stated is None else stated
    specification = EncoderSpecification(
        estimator.encoder,
        images.shape,
        [*mean],
        [*std],
        readout=estimator.readout,
        input_size=estimator.input_size,
        hog=estimator.hog,
        is_scaled=estimator.unit_variance,
        mirror=estimator.mirror,
        mirrors_views=mirrors(estimator.views, images.shape),
    )
    match = None
    if estimator.weights is not None:
        with seeded_torch(seed):
            given = specification, estimator.weights, stated
            specification, match = pretrained_start(*given)
    encoder = build_encoder(specification, seed)
    _check_types(encoder)
    with seeded_torch(seed):  # which other threads may draw from
        _warn_of_head(encoder, specification)
    if estimator.weights is not None and match is not None:
        match.load(encoder, os.fspath(path_and_prefix(estimator.weights)[0]))
    return encoder, specification


def check_start(estimator: "BYOLTransformer") -> None:
    """Refuse weights and statistics that cannot be, before images are read."""
    if estimator.__sklearn_is_fitted__():
        return
    if estimator.weights is not None:
        check_weights(estimator.encoder, estimator.weights)
    if not isinstance(estimator.normalization, str):
        check_statistics(estimator.normalization)


def knows_images(estimator: "BYOLTransformer") -> bool:
    """Tell whether an encoder has been trained already."""
    return estimator.weights is not None or is_complete(estimator.encoder)


def _stated(estimator: "BYOLTransformer", n_channels: int) -> Statistics | None:
    """Return the mean and deviation that are stated of what goes into the network."""
    given = estimator.normalization
    if isinstance(given, str) and given == "auto":
        return None
    if is_complete(estimator.encoder):
        raise ValueError(
            "normalization must be 'auto' for an encoder that is another's encoder_, "
            f"which brings its own. Got {given!r}."
        )
    if isinstance(given, str) and n_channels not in {1, 3}:
        raise ValueError(
            f"normalization='imagenet' is of three channels, and images have "
            f"{n_channels}. Give a mean and a standard deviation of each."
        )
    return check_statistics(IMAGENET if isinstance(given, str) else given, n_channels)


def _check_types(encoder: ImageEncoder) -> None:
    """Refuse tensors that cannot be saved, before they are trained."""
    for name, tensor in encoder.state_dict().items():
        try:
            torch.empty(0, dtype=tensor.dtype).numpy()
        except TypeError as error:
            raise ValueError(
                f"encoder has {name} of the type {tensor.dtype}, which numpy lacks, so "
                "that it could not be saved. Pass module.float(); products are "
                "computed in another type by precision."
            ) from error


def _warn_of_head(encoder: ImageEncoder, specification: EncoderSpecification) -> None:
    """Warn where a user's module ends in the head of a classifier."""
    given = specification.encoder
    if not isinstance(given, str) and not is_complete(given):
        _, height, width = resized_shape(specification.image_shape, specification.side)
        shape = len(specification.mean), height, width
        warn_of_head(encoder.get_submodule("network"), shape)
