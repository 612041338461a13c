"""Images with labels, and what tuning is shown of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_byol.training._batches import Batch, ImageSource, ViewBatches, read
from sklearn_byol.training._processes import Indices
from sklearn_byol.views._pair import ViewPair

N_AT_ONCE = 256  # images that are represented or scored at a time
PLAIN_SHARE = 0.5  # of the images, which are shown as they are


@dataclass(frozen=True)
class LabelledImages:
    """Some images with their classes, and what each counts in the loss.

    It is the weight of its class times `counts`, as how many images it counts.
    """

    source: ImageSource
    places: Indices  # which images of the source these are, in ascending order
    codes: Indices  # their classes
    weights: NDArray[np.float64]  # above 0
    counts: NDArray[np.float64]

    @property
    def is_streamed(self) -> bool:
        """Whether batches take a while."""
        return self.source.is_streamed

    def __len__(self) -> int:
        """Count the images."""
        return len(self.codes)

    def __getitem__(self, indices: Indices) -> Tensor:
        """Return images (n, n_channels, height, width), by indices that ascend."""
        return self.source[self.places[indices]]

    def take(self, indices: Indices) -> "LabelledImages":
        """Choose some of the images, by indices that ascend."""
        places, codes = self.places[indices], self.codes[indices]
        weights, counts = self.weights[indices], self.counts[indices]
        return LabelledImages(self.source, places, codes, weights, counts)

    def in_order(self) -> Iterator[tuple[Indices, Tensor]]:
        """Go through all images as they come, some at a time."""
        n_parts = math.ceil(len(self) / N_AT_ONCE)
        return read(self, np.array_split(np.arange(len(self)), n_parts))


class ShownBatches(ViewBatches):
    """Labelled images as tuning is shown them, with their classes.

    `weights` is what each image of the last batch counts in its loss.
    """

    images: LabelledImages
    views: ViewPair
    weights: Tensor

    def draw(self, images: Tensor, indices: Indices) -> Batch:
        """Return what is shown of some images, and their classes."""
        self.weights = torch.from_numpy(self.images.weights[indices]).float()
        return self.show(images), torch.from_numpy(self.images.codes[indices])

    def show(self, images: Tensor) -> Tensor:
        """Draw views of half of the images, and leave the others as they are.

        Views that are strong enough for BYOL are unlike what is to be classified.
        """
        views = self.views.laws[0](images.clone(), self.view_generator)
        shape, generator = (len(images), 1, 1, 1), self.view_generator
        draws = torch.rand(shape, generator=generator, device=images.device)
        return torch.where(draws < PLAIN_SHARE, images, views)
