"""What callbacks look at, skorch's net, and what the loop knows of what trains."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from torch import Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.training._callbacks import ProgressBar, callbacks_of
from sklearn_byol.training._device import represent
from sklearn_byol.training._plan import Settings
from sklearn_byol.training._processes import Processes

N_AT_ONCE = 256  # images that callbacks have encoded at a time

Batch = tuple[Tensor, Tensor]


class Net(NeuralNet):
    """A net of skorch's with history, optimizer, modules and callbacks.

    Steps are counted in `step_`; `momentum_` is that of the last one. `read_images_`
    turns what transform takes into images, and `represent_` images into rows.
    """

    step_: int
    momentum_: float
    read_images_: Callable[[object], Tensor] | None
    represent_: Callable[[Tensor], NDArray[np.float32]]

    _default_callbacks: ClassVar[list[Any]] = []

    def initialize_optimizer(self, triggered_directly: None = None) -> Self:
        """Build the optimizer by a function of the module."""
        self.optimizer_ = self.optimizer(self.module_)
        return self


def make_net(
    network: nn.Module,
    optimizer: Callable[[nn.Module], Optimizer],
    lr: float,
    bar: ProgressBar,
    settings: Settings,
    encoder: nn.Module,
    n_dims: int,
    *,
    is_first: bool = True,
) -> Net:
    """Build a net around a network; its encoder makes rows of `n_dims` numbers."""
    device, shown = settings.device, bar if settings.verbose else None
    net: Net = Net(
        network.to(memory_format=torch.channels_last),
        criterion=nn.Identity,  # has no part in it
        train_split=None,
        verbose=0,
        optimizer=optimizer,
        lr=lr,
        device=str(device),
        callbacks=callbacks_of(settings.callbacks, shown, is_first=is_first),
    ).initialize()
    net.step_, net.momentum_, net.read_images_ = 0, 1.0, settings.read_images

    def encoded(images: Tensor) -> NDArray[np.float32]:
        """Encode images (n, n_channels, height, width) in [0, 1]."""
        parts = torch.arange(len(images)).split(N_AT_ONCE)
        batches = ((part.numpy(), images[part]) for part in parts)
        return represent(encoder, batches, (len(images), n_dims), device)

    net.represent_ = encoded
    return net


class Trains:
    """What the loop knows of what trains: BYOL, or tuning."""

    net: Net
    plan: Settings
    images: Any
    batches: Iterable[Batch]  # of an epoch
    processes: Processes

    def has_ended(self) -> bool:
        """Tell whether all epochs have been trained."""
        return len(self.net.history) >= self.plan.max_epochs

    def begin(self) -> None:
        """Do what is to be done once callbacks know that training begins."""

    def begin_epoch(self) -> None:
        """Do what is to be done before each epoch."""

    def record(self) -> None:
        """Write the row of the epoch that has ended."""

    def write_if_due(self) -> None:
        """Write the state if it is kept and it is time."""
