"""Batches of views: evenly split, never of one image."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from sklearn_byol.training._processes import ALONE, Processes

# Two views of images (n, n_channels, height, width) in [0, 1].
DrawsViews = Callable[[Tensor, Generator], tuple[Tensor, Tensor]]


class ImageSource(Protocol):
    """What training needs of images: their number, and any of them in [0, 1]."""

    is_streamed: bool
    """Whether batches take a while, and so are made one ahead of the step."""

    def __len__(self) -> int:
        """Count the images."""

    def __getitem__(self, indices: Any) -> Tensor:
        """Return images (n, n_channels, height, width), float32, not shared."""


def count_batches(n_images: int, batch_size: int) -> int:
    """Count the batches of an epoch, as few as `batch_size` allows.

    Each has two images or more, as batch norm needs: three images in batches of two
    are one batch.
    """
    return max(1, min(math.ceil(n_images / batch_size), n_images // 2))


class ViewBatches:
    """Pairs of views of all images, in an order drawn anew for each epoch.

    Batches have `batch_size` images at most, and differ by one image at most. All
    processes go through them in one order, each takes its share of a batch, and draws
    views of its own. `weight` is what the mean over this process's share of the last
    batch counts in the mean of the processes' means: 1 where shares are equal.
    """

    def __init__(
        self,
        images: ImageSource,
        views: DrawsViews,
        batch_size: int,
        seed: int,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        self.images = images
        self.views = views
        self.n_batches = count_batches(len(images), batch_size)
        self.device = device
        self.processes = processes
        self.weight = 1.0
        _check_shares(len(images) // self.n_batches, batch_size, processes.n)
        self.order_generator = np.random.default_rng(seed)
        self.view_generator = Generator(device).manual_seed(processes.seed(seed))
        self._order_state = self.order_generator.bit_generator.state
        self._n_drawn = 0  # batches of the epoch that has begun

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw the views of one epoch, or of what a loaded state leaves of it."""
        self._order_state = self.order_generator.bit_generator.state
        order = self.order_generator.permutation(len(self.images))
        left = np.array_split(order, self.n_batches)[self._n_drawn :]
        shares = (np.sort(self.processes.share(part)) for part in left)
        take = self.images.__getitem__
        taken = (one_ahead if self.images.is_streamed else map)(take, shares)
        for part, batch in zip(left, taken, strict=True):
            self.weight = self.processes.n * len(batch) / len(part)
            views = self.views(batch.to(self.device), self.view_generator)
            self._n_drawn += 1
            yield views
        self._order_state = self.order_generator.bit_generator.state
        self._n_drawn = 0

    def state(self) -> dict[str, Any]:
        """Return where in which epoch this is, and what is drawn next."""
        return {
            "order": self._order_state,
            "n_drawn": self._n_drawn,
            "views": self.view_generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state; views are drawn anew where another device drew them."""
        self.order_generator.bit_generator.state = state["order"]
        self._order_state = state["order"]
        self._n_drawn = state["n_drawn"]
        # Generators of other kinds of devices have states of other lengths.
        if len(state["views"]) == len(self.view_generator.get_state()):
            self.view_generator.set_state(state["views"])


def _check_shares(n_images: int, batch_size: int, n_processes: int) -> None:
    """Refuse batches that leave a process fewer than two images."""
    if n_images < 2 * n_processes:
        raise ValueError(
            f"batch_size={batch_size} makes batches of {n_images} images, which leave "
            f"fewer than two for each of {n_processes} processes. batch_size is that "
            "of all processes together: raise it, or launch fewer of them."
        )


def one_ahead(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Map as `map` does, with a thread that is always one result ahead."""
    with ThreadPoolExecutor(1) as thread:
        coming: deque[Any] = deque()
        for item in items:
            coming.append(thread.submit(function, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
