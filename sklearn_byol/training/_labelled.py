"""Labelled images in batches, and the linear layer that classifies them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_byol.training._batches import ImageSource, one_ahead

__all__ = ["LabelledImages", "LinearHead"]

N_AT_ONCE = 256  # images that are represented or scored at a time


class LinearHead(nn.Module):
    """A linear layer on standardised representations.

    Parameters
    ----------
    weight : ndarray of shape (n_classes, n_dims)
        Weights of standardised representations.
    bias : ndarray of shape (n_classes,)
        Biases.
    mean, scale : ndarray of shape (n_dims,)
        What is subtracted from representations, and what they are divided by.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        weight: NDArray[Any],
        bias: NDArray[Any],
        mean: NDArray[Any],
        scale: NDArray[Any],
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float32))
        self.bias = nn.Parameter(torch.tensor(bias, dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, rows: Tensor) -> Tensor:
        """Map representations (n, n_dims) to logits (n, n_classes)."""
        return F.linear((rows - self.mean) / self.scale, self.weight, self.bias)

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight and bias of the same layer on representations as they are."""
        with torch.no_grad():
            weight = self.weight / self.scale
            bias = self.bias - weight @ self.mean
        return weight.cpu().numpy(), bias.cpu().numpy()


@dataclass(frozen=True)
class LabelledImages:
    """Images with their classes.

    Attributes
    ----------
    images : ImageSource
        Where the images are.
    places : ndarray of int
        Which of them these are, in ascending order.
    codes : ndarray of int
        Their classes.
    """

    images: ImageSource
    places: NDArray[np.intp]
    codes: NDArray[np.intp]

    def __len__(self) -> int:
        """Count the images."""
        return len(self.codes)

    def take(self, chosen: NDArray[np.intp]) -> "LabelledImages":
        """Choose some of the images, in ascending order."""
        return LabelledImages(self.images, self.places[chosen], self.codes[chosen])

    def batches(
        self, n_batches: int, order: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images in an order: which ones, ascending, and the images."""
        order = np.arange(len(self)) if order is None else order
        parts = [np.sort(part) for part in np.array_split(order, n_batches)]
        places = [self.places[part] for part in parts]
        read = one_ahead if self.images.is_streamed else map
        yield from zip(parts, read(self.images.__getitem__, places), strict=True)

    def in_order(self) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Go through all images as they come, some at a time."""
        return self.batches(math.ceil(len(self) / N_AT_ONCE))
