"""All that a training knows from step to step: networks, optimizer, draws, figures."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from skorch.callbacks import LRScheduler
from torch import nn
from torch.amp import GradScaler

from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.training._batches import Batch, ImageSource, ViewBatches
from sklearn_byol.training._callbacks import Net, load_stopping, make_net
from sklearn_byol.training._checkpoints import Checkpoints, State, state_of
from sklearn_byol.training._device import global_state, seeded_torch, set_global_state
from sklearn_byol.training._history import EpochFigures
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._plan import Plan, Settings
from sklearn_byol.training._scaling import check_scale, make_scaler
from sklearn_byol.views._pair import ViewPair


class Trains:
    """What the loop knows of what trains: BYOL, or tuning."""

    net: Net
    plan: Settings
    scaler: GradScaler  # of the loss
    images: Any
    batches: Iterable[Batch]  # of an epoch

    @property
    def sets_lr(self) -> bool:
        """Whether the learning rate is not left to a scheduler of skorch's."""
        return not any(isinstance(each, LRScheduler) for _, each in self.net.callbacks_)

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


class Training(Trains):
    """A training of an encoder by Algorithm 1 of the paper, that can be gone on with.

    The encoder, from images in [0, 1] to representations, is trained in place.
    """

    plan: Plan
    batches: ViewBatches

    def __init__(
        self, encoder: nn.Module, images: ImageSource, views: ViewPair, plan: Plan
    ) -> None:
        self.plan, self.encoder, self.images = plan, encoder, images
        schedule, n_dims = plan.schedule, plan.representation_dim
        with seeded_torch(plan.seed):
            dims = n_dims, plan.hidden_dim, plan.projection_dim
            network = build_byol_network(encoder, *dims, is_held=plan.is_held)
        network.to(plan.device).to(memory_format=torch.channels_last)
        encoder.to(plan.device)  # the parts that are not trained too
        # Weights of the encoder before the first step, where they may count in the end.
        self.began: State = {}
        if plan.min_similarity or plan.is_pretrained:
            state = encoder.state_dict().items()
            self.began = {name: value.detach().clone() for name, value in state}
        # No part refers back to this object, so that its memory goes when it goes.
        self.batches = ViewBatches(images, views, plan)
        self.figures = EpochFigures()
        lr, decay, n_steps = schedule.lr, schedule.weight_decay, schedule.n_steps
        slower = network.encoder, schedule.encoder_lr
        optimizer = make_optimizer(plan.optimizer, network, lr, decay, slower)
        self.net = make_net(network, optimizer, encoder, n_dims, plan, n_steps)
        self.scaler = make_scaler(plan.precision, optimizer)
        self.theta = network.online_parameters()
        self.xi = list(network.target.parameters())
        self.forward = plan.processes.wrap(network, images.__getitem__)
        self.is_global = views.draws_globally or plan.is_drawing
        self.global_state: State | None = None  # torch's, of the last look at it
        self.is_inside = False
        self.stopping: list[State] = []  # of each EarlyStopping
        self.start: dict[str, float] | None = None  # figures before the first step
        self.is_over = False
        self.checkpoints: Checkpoints | None = None

    def begin(self) -> None:
        """Let callbacks, which know that training begins, go on where they were."""
        load_stopping(self.net.callbacks_, self.stopping)

    def begin_epoch(self) -> None:
        """Start the clock; networks are in training mode, but for an encoder held."""
        self.figures.begin()
        self.net.module_.train()

    def record(self) -> None:
        """Write the row of the epoch that has ended."""
        self.figures.record(self.net, self.plan.processes)
        check_scale(self.scaler)

    def write_if_due(self) -> None:
        """Write the state if there is a folder for it and it is time."""
        checkpoints, processes = self.checkpoints, self.plan.processes
        # The clock of the first process counts.
        if checkpoints is not None and processes.first(checkpoints.is_due()):
            self.write()

    def write(self) -> None:
        """Write the state, that of all processes, by the first of them."""
        if self.checkpoints is not None:
            state = state_of(self)
            if self.plan.is_first:
                self.checkpoints.write(state)

    def extend(self) -> None:
        """Let a training that is over go on, by the schedules of the plan.

        With other images than before, what counts is how many epochs were trained.
        """
        if self.is_over:
            self.is_over, self.stopping = False, []
            if math.isfinite(self.plan.schedule.n_steps):
                self.net.step_ = len(self.net.history) * len(self.batches)

    @contextmanager
    def own_global_state(self) -> Iterator[None]:
        """Let views and networks that draw from torch's global state have their own."""
        if not self.is_global:
            yield
            return
        device, seed = self.plan.device, self.plan.processes.seed(self.plan.seed)
        with seeded_torch(seed, device):
            if self.global_state is not None:
                set_global_state(device, self.global_state)
            self.is_inside = True
            yield
            self.global_state, self.is_inside = global_state(device), False
