"""All that a training knows from step to step: networks, optimizer, draws, figures."""

import functools
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from sklearn_byol.networks import BYOLNetwork, build_byol_network
from sklearn_byol.training._batches import ImageSource, ViewBatches
from sklearn_byol.training._callbacks import (
    ProgressBar,
    load_stopping,
    sets_lr,
)
from sklearn_byol.training._checkpoints import Checkpoints, State, state_of
from sklearn_byol.training._device import (
    global_state,
    seeded_torch,
    set_global_state,
)
from sklearn_byol.training._history import EpochFigures, History, history_of
from sklearn_byol.training._net import Net, Trains, make_net
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._plan import Plan
from sklearn_byol.views import ViewPair

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
        if self.checkpoints is not None:
            self.checkpoints.written = time.monotonic()
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
            state = state_of(self)
            if self.processes.is_first:
                self.checkpoints.write(state)

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
