"""Batches of views: evenly split, never of one image."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from torch import Generator, Tensor

from sklearn_byol.training._plan import Settings, count_batches
from sklearn_byol.training._processes import Indices

Batch = tuple[Tensor, Tensor]
# Two views of images (n, n_channels, height, width) in [0, 1].
DrawsViews = Callable[[Tensor, Generator], Batch]


class ImageSource(Protocol):
    """What training needs of images: their number, and any of them in [0, 1]."""

    @property
    def is_streamed(self) -> bool:
        """Whether batches take a while, and so are made one ahead of the step."""

    def __len__(self) -> int:
        """Count the images."""

    def __getitem__(self, indices: Any) -> Tensor:
        """Return images (n, n_channels, height, width), float32, not shared."""


class ViewBatches:
    """Pairs of views of all images, in an order drawn anew for each epoch.

    Batches have `batch_size` images at most, and differ by one image at most. All
    processes go through them in one order, each takes its share of a batch, and draws
    views of its own. `weight` is what the mean over this process's share of the last
    batch counts in the mean of the processes' means: 1 where shares are equal.
    """

    def __init__(
        self, images: ImageSource, views: DrawsViews, settings: Settings
    ) -> None:
        batch_size, processes = settings.batch_size, settings.processes
        self.images, self.views = images, views
        self.device, self.processes, self.weight = settings.device, processes, 1.0
        self.n_batches = count_batches(len(images), batch_size)
        n_smallest = len(images) // self.n_batches
        if n_smallest < 2 * processes.n:
            raise ValueError(
                f"batch_size={batch_size} makes batches of {n_smallest} images, which "
                f"leave fewer than two for each of {processes.n} processes. batch_size "
                "is that of all processes together: raise it, or launch fewer of them."
            )
        self.order_generator = np.random.default_rng(settings.seed)
        view_seed = processes.seed(settings.seed)
        self.view_generator = Generator(settings.device).manual_seed(view_seed)
        self._order_state = self.order_generator.bit_generator.state
        self._n_drawn = 0  # batches of the epoch that has begun

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        """Go through one epoch, or what a loaded state leaves of it."""
        self._order_state = self.order_generator.bit_generator.state
        order = self.order_generator.permutation(len(self.images))
        left = np.array_split(order, self.n_batches)[self._n_drawn :]
        shares = [np.sort(self.processes.share(part)) for part in left]
        for part, (share, images) in zip(left, read(self.images, shares), strict=True):
            self.weight = self.processes.n * len(share) / len(part)
            batch = self.draw(images.to(self.device), share)
            self._n_drawn += 1
            yield batch
        self._order_state = self.order_generator.bit_generator.state
        self._n_drawn = 0

    def draw(self, images: Tensor, indices: Indices) -> Batch:
        """Draw what is trained on of some images, which have these indices."""
        return self.views(images, self.view_generator)

    def state(self) -> dict[str, Any]:
        """Return where in which epoch this is, and what is drawn next."""
        return {
            "order": self._order_state,
            "n_drawn": self._n_drawn,
            "views": self.view_generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state; views are drawn anew where another device drew them."""
        self._order_state, self._n_drawn = state["order"], state["n_drawn"]
        self.order_generator.bit_generator.state = self._order_state
        # Generators of other kinds of devices have states of other lengths.
        if len(state["views"]) == len(self.view_generator.get_state()):
            self.view_generator.set_state(state["views"])


def read(
    images: ImageSource, parts: Sequence[Indices]
) -> Iterator[tuple[Indices, Tensor]]:
    """Read images part by part, one ahead where that takes a while."""
    take = one_ahead if images.is_streamed else map
    return zip(parts, take(images.__getitem__, parts), strict=True)


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
