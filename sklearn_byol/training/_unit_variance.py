"""What rows are multiplied by, so that a classifier can take them as they are.

A classifier that is regularised needs columns whose variance is about 1. Divided each
by a deviation of its own, as by StandardScaler, columns that hardly vary count as much
as all others, and a few labelled rows say little of a deviation. So what is learned is
brought to one length in all images, and divided by one number, and what goes beside it
by another, both from images without labels.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_byol.networks._image_encoder import ImageEncoder, Scale

Rows = NDArray[np.float32]  # (n_images, n_dims)
Factors = tuple[float, float]  # of what is learned, and of what goes beside it

LEAST_SHARE = 1e-3  # of the mean square, which the variance of like images is taken for
SMALLEST = 1e-18  # deviation, of float32 numbers that are not 0


def factors_of(encoder: nn.Module, rows: Rows) -> Factors:
    """Find what makes the variance of columns 1 on average."""
    if not (isinstance(encoder, ImageEncoder) and has_scale(encoder)):
        return 1.0, 1.0
    n_learned = rows.shape[1] - encoder.n_beside
    return _one_over_deviation(rows[:, :n_learned]), _one_over_deviation(
        rows[:, n_learned:]
    )


def _one_over_deviation(rows: Rows) -> float:
    """Divide 1 by the deviation, or by a share of the values where they hardly vary."""
    if not rows.size:
        return 1.0
    values = rows.astype(np.float64)
    variance = values.var(axis=0).mean()
    floor = LEAST_SHARE * np.square(values).mean()
    deviation = math.sqrt(max(variance, floor))
    return 1 / deviation if SMALLEST < deviation < math.inf else 1.0


def has_scale(encoder: nn.Module) -> bool:
    """Tell whether rows of an encoder are multiplied by anything."""
    return isinstance(getattr(encoder, "scale", None), Scale)


def is_unscaled(encoder: nn.Module) -> bool:
    """Tell whether an encoder multiplies its rows by 1."""
    scale = getattr(encoder, "scale", None)
    return isinstance(scale, Scale) and all(n == 1 for n in scale.buffers())


def multiply_by(encoder: nn.Module, factors: Factors) -> None:
    """Set what an encoder multiplies its rows by."""
    scale = getattr(encoder, "scale", None)
    if isinstance(scale, Scale):
        scale.learned = torch.full_like(scale.learned, factors[0])
        scale.beside = torch.full_like(scale.beside, factors[1])


def with_unit_variance(encoder: nn.Module, rows: Rows) -> Rows:
    """Multiply rows as an encoder that is trained to its end does."""
    factors = factors_of(encoder, rows)
    if factors == (1.0, 1.0):
        return rows
    n_beside = encoder.n_beside if isinstance(encoder, ImageEncoder) else 0
    n_learned = rows.shape[1] - n_beside
    each = np.repeat(np.asarray(factors, np.float32), [n_learned, n_beside])
    return np.multiply(rows, each)
