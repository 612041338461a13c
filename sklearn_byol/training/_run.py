"""One training: networks, optimizer, generators and figures, from step to step."""

import functools
import itertools
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.networks import build_byol_network
from sklearn_byol.objective import effective_rank
from sklearn_byol.training._batches import ImageSource, ViewBatches
from sklearn_byol.training._callbacks import load_stopping, stopping_state, with_ours
from sklearn_byol.training._checkpoints import CheckpointWriter
from sklearn_byol.training._device import (
    KEPT_MEMORY,
    global_state,
    represent,
    seeded_torch,
    set_global_state,
)
from sklearn_byol.training._history import (
    check_finite,
    is_number,
    number,
    plain,
    warn_if_collapsed,
)
from sklearn_byol.training._net import TrainingStopped, make_net
from sklearn_byol.training._plan import TrainingSettings
from sklearn_byol.views import ViewPair

__all__ = ["History", "State", "Training"]

LOG = logging.getLogger("sklearn_byol")

History = dict[str, list[float]]
State = dict[str, Any]

N_AT_ONCE = 256  # images that callbacks have encoded at a time
N_LOOKED_AT = 16  # batches, before the first step

FIGURES = (
    *("epoch", "loss", "spread", "effective_rank", "lr", "momentum"),
    *("seconds", "images_per_second"),
)


class Training:
    """A training of an encoder by Algorithm 1 of the paper, that can be gone on with.

    Parameters
    ----------
    encoder : nn.Module
        From images in [0, 1] to representations; trained in place. It ends on the
        device of the settings, in evaluation mode.
    images : ImageSource
        What to learn from; two or more.
    views : ViewPair
        How to draw views.
    settings : TrainingSettings
        Everything else.
    """

    def __init__(
        self,
        encoder: nn.Module,
        images: ImageSource,
        views: ViewPair,
        settings: TrainingSettings,
    ) -> None:
        self.encoder, self.images, self.settings = encoder, images, settings
        device, processes = settings.device, settings.processes
        with seeded_torch(settings.seed):
            network = build_byol_network(
                encoder,
                settings.representation_dim,
                settings.hidden_dim,
                settings.projection_dim,
            )
        # No part refers back to this object, so that its memory goes when it goes.
        self.batches = batches = ViewBatches(
            images, views, settings.batch_size, settings.seed, device, processes
        )
        self.is_global = views.draws_globally or settings.is_drawing
        self._global: State | None = None  # torch's, of the last look at it
        self._is_inside = False
        self._stopping: list[State] = []  # of each EarlyStopping
        self.start: dict[str, float] | None = None
        self.is_over = False
        callbacks = with_ours(settings)
        self.writer = None
        if settings.checkpoints is not None:
            self.writer = CheckpointWriter(self.state, settings.checkpoints, processes)
            callbacks.append(("checkpoints", self.writer))
        self.net = make_net(
            network.to(memory_format=torch.channels_last),
            precision=settings.precision,
            processes=processes,
            weight=lambda: batches.weight,
            optimizer=settings.optimizer,
            optimizer__weight_decay=settings.schedule.weight_decay,
            lr=settings.schedule.lr,
            device=device.type if device.index is None else str(device),
            iterator_train=lambda dataset, **options: batches,
            callbacks=callbacks,
        ).initialize()
        self.net.compute_ = processes.wrap(self.net.module_, images)
        # For callbacks that look at what the encoder makes of images.
        self.net.read_images_ = settings.read_images
        self.net.represent_ = functools.partial(_represent, encoder, settings)

    def run(self) -> History:
        """Train to the last epoch of the settings, from wherever this stands.

        Returns
        -------
        dict of str to list of float
            The figures of each epoch.

        Raises
        ------
        FloatingPointError
            If a loss is not finite.
        torch.OutOfMemoryError
            If a batch does not fit into the memory of the GPU.

        Warns
        -----
        CollapseWarning
            If the spread at the end is below 0.05.
        """
        try:
            return self._train()
        except torch.OutOfMemoryError as error:
            raise torch.OutOfMemoryError(
                f"{error} The GPU has no room for batches of "
                f"{self.settings.batch_size} images: lower batch_size, take smaller "
                "images or a smaller encoder, or try precision='bfloat16'."
            ) from error

    def _train(self) -> History:
        """Look at the encoder if it may know something already, then train it."""
        settings = self.settings
        n_epochs = settings.max_epochs - len(self.net.history)
        if self.is_over:
            n_epochs = 0
        elif self.start is None and (settings.is_pretrained or not settings.max_epochs):
            self.start = self._look()
        if n_epochs > 0:
            is_cpu = settings.device.type == "cpu"
            memory = KEPT_MEMORY if is_cpu else nullcontext()
            with self._own_global_state(), memory, settings.processes.together():
                self._run(n_epochs)
                settings.processes.equalise(self.net.module_.state_dict().values())
                check_finite(self.encoder)
                self.is_over = True
                if self.writer is not None:
                    self.writer.write()
        self.is_over = True
        self.encoder.eval().to(memory_format=torch.contiguous_format)
        history = self.history()
        warn_if_collapsed(history)
        return history

    def history(self) -> History:
        """Turn skorch's rows of epochs into one list for each figure."""
        rows = list(self.net.history)
        if self.start is not None:
            rows.insert(0, self.start)
        keys = {name: name for name in FIGURES} | {"loss": "train_loss"}
        keys |= {name: name for row in rows for name in row if _is_extra(name, row)}
        return {
            name: [number(row.get(key, math.nan)) for row in rows]
            for name, key in keys.items()
        }

    def state(self) -> State:
        """Return all that the rest of the training depends on, in all processes.

        Tensors are those that the training goes on with, not copies.

        Returns
        -------
        dict
            Nested dicts and lists of tensors, numbers and strings.
        """
        net = self.net
        if self._is_inside:
            self._global = global_state(self.settings.device)
        own = {
            "batches": self.batches.state(),
            "torch": self._global,
            "figures": net.figures.state(),
        }
        first, *others = self.settings.processes.every(own)
        return {
            **first,
            "others": others,
            "network": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "step": net.step_,
            "momentum": net.momentum_,
            "history": [plain(row) for row in net.history if "train_loss" in row],
            "stopping": stopping_state(net.callbacks_),
            "start": self.start,
            "is_over": self.is_over,
        }

    def load(self, state: State) -> None:
        """Go back to a state of a training with the same networks and optimizer.

        With another number of processes than it was made with, batches and learning
        rates are the same, but some images are shown in other views.

        Parameters
        ----------
        state : dict
            What `state` has returned, with tensors on any device.
        """
        net = self.net
        net.module_.load_state_dict(state["network"])
        _load_optimizer(net.optimizer_, state["optimizer"])
        net.step_, net.momentum_ = state["step"], state["momentum"]
        owns = [state, *state.get("others", [])]
        rank = self.settings.processes.rank
        if rank < len(owns):
            self.batches.load(owns[rank]["batches"])
            self._global = owns[rank]["torch"]
        else:
            views = self.batches.view_generator.get_state()
            self.batches.load({**state["batches"], "views": views})
        net.figures.load(owns[min(rank, len(owns) - 1)]["figures"])
        net.history[:] = [{**row, "batches": []} for row in state["history"]]
        self._stopping = state.get("stopping", [])
        self.start, self.is_over = state["start"], state["is_over"]
        LOG.info("Going on after step %d, %d epochs", net.step_, len(net.history))

    def extend(self) -> None:
        """Let a training that is over go on, by the schedules of the settings.

        With other images than before, what counts is how many epochs were trained.
        """
        if not self.is_over:
            return
        self.is_over, self._stopping = False, []
        if math.isfinite(self.settings.schedule.n_steps):
            self.net.step_ = len(self.net.history) * len(self.batches)

    @torch.no_grad()
    def _look(self) -> dict[str, float]:
        """Compute the figures of the first batches, and change nothing.

        Batch norm works on the statistics of each batch, as in training.
        """
        net, settings, processes = self.net, self.settings, self.settings.processes
        drawn = self.batches.state()
        buffers = {name: b.clone() for name, b in net.module_.named_buffers()}
        net.module_.train()
        began, n_images, losses, spreads = time.perf_counter(), 0, [], []
        with seeded_torch(processes.seed(settings.seed), settings.device):
            for batch in itertools.islice(self.batches, N_LOOKED_AT):
                loss, figures = net.compare(batch)
                losses.append(loss)
                spreads.append(figures["spread"])
                n_images += len(batch[0])
        self.batches.load(drawn)
        for name, buffer in net.module_.named_buffers():
            buffer.copy_(buffers[name])
        seconds = time.perf_counter() - began
        probed = [
            callback.at_start(net)
            for _, callback in net.callbacks_
            if hasattr(callback, "at_start")
        ]
        row = {
            **{name: value for figures in probed for name, value in figures.items()},
            "epoch": 0,
            "train_loss": processes.mean(torch.stack(losses)).mean().item(),
            "spread": processes.mean(torch.stack(spreads)).mean().item(),
            "effective_rank": effective_rank(
                processes.joined(figures["projection"])
            ).item(),
            "lr": 0.0,
            "momentum": settings.schedule.momentum,
            "seconds": seconds,
            "images_per_second": sum(processes.every(n_images)) / seconds,
        }
        return processes.first(row)

    @contextmanager
    def _own_global_state(self) -> Iterator[None]:
        """Let views and networks that draw from torch's global state have their own."""
        if not self.is_global:
            yield
            return
        device = self.settings.device
        with seeded_torch(self.settings.processes.seed(self.settings.seed), device):
            if self._global is not None:
                set_global_state(device, self._global)
            self._is_inside = True
            yield
            self._global, self._is_inside = global_state(device), False

    def _run(self, n_epochs: int) -> None:
        """Run skorch's loop; its own `fit` would swallow Ctrl-C."""
        net = self.net
        net.notify("on_train_begin", X=self.images, y=None)
        load_stopping(net.callbacks_, self._stopping)
        try:
            net.fit_loop(self.images, epochs=n_epochs)
        except TrainingStopped:
            pass
        finally:
            net.notify("on_train_end", X=self.images, y=None)


def _represent(
    encoder: nn.Module, settings: TrainingSettings, images: Tensor
) -> NDArray[np.float32]:
    """Encode images (n, n_channels, height, width) in [0, 1], in evaluation mode."""
    indices = np.arange(len(images))
    cuts = range(N_AT_ONCE, len(images), N_AT_ONCE)
    batches = ((part, images[part]) for part in np.split(indices, cuts))
    shape = len(images), settings.representation_dim
    return represent(encoder, batches, shape, settings.device)


def _is_extra(name: str, row: dict[str, Any]) -> bool:
    """Tell whether a callback of the user's has written a number by this name."""
    is_ours = name in {*FIGURES, "train_loss"} or name.endswith("_best")
    return not is_ours and is_number(row[name])


def _load_optimizer(optimizer: Optimizer, state: State) -> None:
    """Load the state of an optimizer, each tensor laid out as its parameter is.

    The fused optimizers go through the memory of both side by side. The decay of the
    weights stays what it is.
    """
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, decay in zip(optimizer.param_groups, decays, strict=True):
        group["weight_decay"] = decay
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                values[name] = torch.empty_like(weight).copy_(value)
