"""All that a training knows from step to step: networks, optimizer, draws, figures."""

import functools
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.networks import BYOLNetwork, build_byol_network
from sklearn_byol.training._batches import ImageSource, ViewBatches
from sklearn_byol.training._callbacks import (
    ProgressBar,
    load_stopping,
    sets_lr,
    stopping_state,
)
from sklearn_byol.training._checkpoints import Checkpoints, State
from sklearn_byol.training._device import (
    global_state,
    seeded_torch,
    set_global_state,
)
from sklearn_byol.training._history import EpochFigures, History, history_of, plain
from sklearn_byol.training._net import Net, Trains, make_net
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._plan import Plan
from sklearn_byol.views import ViewPair

LOG = logging.getLogger("sklearn_byol")

SHOWN = {
    "train_loss": "loss {:.3f}",
    "spread": "spread {:.2f}",
    "images_per_second": "{:,.0f} images/s",
}


class Training(Trains):
    """A training of an encoder by Algorithm 1 of the paper, that can be gone on with.

    The encoder, from images in [0, 1] to representations, is trained in place.
    """

    plan: Plan
    batches: ViewBatches

    def __init__(
        self, encoder: nn.Module, images: ImageSource, views: ViewPair, plan: Plan
    ) -> None:
        self.encoder, self.images = encoder, images
        self.plan, self.processes = plan, plan.processes
        with seeded_torch(plan.seed):
            network = build_byol_network(
                encoder, plan.representation_dim, plan.hidden_dim, plan.projection_dim
            )
        # No part refers back to this object, so that its memory goes when it goes.
        self.batches = ViewBatches(
            images, views, plan.batch_size, plan.seed, plan.device, plan.processes
        )
        self.figures = EpochFigures()
        self.net = _net_of(network, encoder, plan)
        self.theta = self.net.module_.online_parameters()
        self.xi = list(self.net.module_.target.parameters())
        self.forward = plan.processes.wrap(self.net.module_, images.__getitem__)
        self.sets_lr = sets_lr(self.net.callbacks_)
        self.is_global = views.draws_globally or plan.is_drawing
        self.global_state: State | None = None  # torch's, of the last look at it
        self.is_inside = False
        self.stopping: list[State] = []  # of each EarlyStopping
        self.start: dict[str, float] | None = None  # figures before the first step
        self.is_over = False
        self.checkpoints: Checkpoints | None = None

    def begin_epoch(self) -> None:
        """Start the clock; batch norm works on the statistics of each batch."""
        self.figures.begin()
        self.net.module_.train()

    def record(self) -> None:
        """Write the row of the epoch that has ended."""
        self.figures.record(self.net, self.processes)

    def begin(self) -> None:
        """Let callbacks, which know that training begins, go on where they were."""
        load_stopping(self.net.callbacks_, self.stopping)

    def history(self) -> History:
        """Return one list for each figure, with one number an epoch."""
        start = [] if self.start is None else [self.start]
        return history_of([*start, *self.net.history])

    def write_if_due(self) -> None:
        """Write the state if there is a folder for it and it is time."""
        if self.checkpoints is not None:
            is_due = self.checkpoints.is_due()
            if self.processes.first(is_due):  # whose clock counts
                self.write()

    def write(self) -> None:
        """Write the state, that of all processes, by the first of them."""
        if self.checkpoints is not None:
            state = self.state()
            if self.processes.is_first:
                self.checkpoints.write(state)

    def state(self) -> State:
        """Return all that the rest of the training depends on, in all processes.

        Tensors are those that the training goes on with, not copies.
        """
        net = self.net
        if self.is_inside:
            self.global_state = global_state(self.plan.device)
        own = {
            "batches": self.batches.state(),
            "torch": self.global_state,
            "figures": self.figures.state(),
        }
        first, *others = self.processes.every(own)
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
        """
        net, rank = self.net, self.processes.rank
        net.module_.load_state_dict(state["network"])
        _load_optimizer(net.optimizer_, state["optimizer"])
        net.step_, net.momentum_ = state["step"], state["momentum"]
        owns = [state, *state["others"]]
        if rank < len(owns):
            self.batches.load(owns[rank]["batches"])
            self.global_state = owns[rank]["torch"]
        else:
            views = self.batches.view_generator.get_state()
            self.batches.load({**state["batches"], "views": views})
        self.figures.load(owns[min(rank, len(owns) - 1)]["figures"])
        net.history[:] = [{**row, "batches": []} for row in state["history"]]
        self.stopping = state["stopping"]
        self.start, self.is_over = state["start"], state["is_over"]
        LOG.info("Going on after step %d, %d epochs", net.step_, len(net.history))

    def extend(self) -> None:
        """Let a training that is over go on, by the schedules of the plan.

        With other images than before, what counts is how many epochs were trained.
        """
        if not self.is_over:
            return
        self.is_over, self.stopping = False, []
        if math.isfinite(self.plan.schedule.n_steps):
            self.net.step_ = len(self.net.history) * len(self.batches)

    @contextmanager
    def own_global_state(self) -> Iterator[None]:
        """Let views and networks that draw from torch's global state have their own."""
        if not self.is_global:
            yield
            return
        device = self.plan.device
        with seeded_torch(self.processes.seed(self.plan.seed), device):
            if self.global_state is not None:
                set_global_state(device, self.global_state)
            self.is_inside = True
            yield
            self.global_state, self.is_inside = global_state(device), False


def _net_of(network: BYOLNetwork, encoder: nn.Module, plan: Plan) -> Net:
    """Build the net of a plan, with the user's callbacks and the bar."""
    schedule = plan.schedule
    optimizer = functools.partial(
        make_optimizer,
        plan.optimizer,
        lr=schedule.lr,
        weight_decay=schedule.weight_decay,
    )
    bar = ProgressBar(schedule.n_steps, plan.max_epochs, SHOWN)
    n_dims, is_first = plan.representation_dim, plan.processes.is_first
    return make_net(
        network, optimizer, schedule.lr, bar, plan, encoder, n_dims, is_first=is_first
    )


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
