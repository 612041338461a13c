"""Representations of some of the images that are trained on."""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sklearn_byol.networks._image_encoder import LEARNS, ImageEncoder
from sklearn_byol.training._batches import read
from sklearn_byol.training._device import represent
from sklearn_byol.training._processes import Indices
from sklearn_byol.training._training import Training
from sklearn_byol.training._unit_variance import (
    factors_of,
    has_scale,
    is_unscaled,
    multiply_by,
)

Rows = NDArray[np.float32]  # (n_images, n_dims)

N_SCALED_BY, N_AT_ONCE = 256, 64  # images
PIXELS_AT_ONCE = 2**20


def evenly(training: Training, n_images: int) -> Indices:
    """Choose images at even distances, in ascending order."""
    n_chosen = min(n_images, len(training.images))
    return np.linspace(0, len(training.images) - 1, n_chosen).astype(np.intp)


def rows_of_some(
    training: Training, places: Indices, *, learned_alone: bool = False
) -> Rows:
    """Represent some of the images, by all of the encoder or by what it learns."""
    whole, n_dims = training.encoder, training.plan.representation_dim
    encoder: nn.Module = whole
    if learned_alone and isinstance(whole, ImageEncoder):
        encoder, n_dims = whole.take(LEARNS), n_dims - whole.n_beside
    n_parts = -(-len(places) // _n_at_once(training))
    order = np.array_split(np.arange(len(places)), n_parts)
    taken = read(training.images, np.array_split(places, n_parts))
    batches = ((at, batch) for at, (_, batch) in zip(order, taken, strict=True))
    shape = (len(places), n_dims)
    return represent(encoder, batches, shape, training.plan.device)


def _n_at_once(training: Training) -> int:
    """Count the images that are represented together: few where they are large."""
    height, width = training.images[np.arange(1)].shape[2:]
    side = getattr(getattr(training.encoder, "resize", None), "side", 0)
    n_pixels = max(
        height * width, side * side * max(height, width) // min(height, width)
    )
    return max(1, min(N_AT_ONCE, PIXELS_AT_ONCE // n_pixels))


def give_unit_variance(training: Training, *, keeps: bool) -> None:
    """Let the encoder make columns whose variance is 1 on average.

    It may keep the numbers that it has, if it has any. Else they are found as if it had
    none, so that a training that went on from a file ends with the same bits.
    """
    encoder = training.encoder
    if has_scale(encoder) and not (keeps and not is_unscaled(encoder)):
        multiply_by(encoder, (1.0, 1.0))
        rows = rows_of_some(training, evenly(training, N_SCALED_BY))
        multiply_by(encoder, training.plan.processes.first(factors_of(encoder, rows)))
