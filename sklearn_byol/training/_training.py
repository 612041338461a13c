"""All that a training knows from step to step: networks, optimizer, draws, figures."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import LRScheduler
from torch import nn
from torch.amp import GradScaler

from sklearn_byol.exceptions import InterruptWarning, warn
from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.training._batches import Batch, ImageSource, ViewBatches
from sklearn_byol.training._callbacks import Net, load_stopping, make_net
from sklearn_byol.training._checkpoints import Checkpoints, State, copied, state_of
from sklearn_byol.training._device import global_state, seeded_torch, set_global_state
from sklearn_byol.training._history import EpochFigures
from sklearn_byol.training._interrupts import held_interrupts
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._plan import KEEP, Plan, Settings
from sklearn_byol.training._scaling import check_scale, make_scaler
from sklearn_byol.views._pair import ViewPair

Rows = NDArray[np.float32]  # (n_images, n_dims)


class Trains:
    """What the loop knows of what trains: BYOL, or tuning."""

    net: Net
    plan: Settings
    scaler: GradScaler  # of the loss
    images: Any
    batches: Iterable[Batch]  # of an epoch
    is_between = False  # whether an epoch was trained that callbacks do not know of
    was_interrupted = False  # whether Ctrl-C has ended it, and what there is is kept
    goes_on_by = ""  # what to do to train the rest, if there is a way

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

    def note_whole(self, *, is_between: bool) -> None:
        """Note the state of whole epochs, for when the next one is cut off.

        In between callbacks have not heard yet that the last one has ended.
        """
        self.is_between = is_between

    def rescue(self, error: BaseException) -> None:
        """Write what was noted, as an error ends the training; say so in its notes."""

    def note_of_callback(self, error: BaseException, what: str) -> None:
        """Say that a callback has failed at the end, too."""
        if self.was_interrupted:
            warn(f"{what}. What there is is kept all the same.", InterruptWarning)
        else:
            error.add_note(what)

    def may_stop(self, *, by_signal: bool) -> bool:
        """Tell whether an interrupt in the middle is a wish to stop and keep all.

        Callbacks of skorch's may raise one; a signal is one if the plan says so.
        """
        asks = self.plan.on_interrupt == KEEP or not by_signal
        return asks and self.plan.processes.n == 1

    def stop(self) -> None:
        """Keep what there is, and say so; an epoch that was cut off has no row."""
        rows = self.net.history
        rows[:] = [row for row in rows if "train_loss" in row]
        self.was_interrupted, self.is_between = True, False
        warn(
            f"Training was interrupted after {len(rows)} of {self.plan.max_epochs} "
            f"epochs; what was learned so far is kept. {self.goes_on_by}Silence this "
            "by filtering sklearn_byol.exceptions.InterruptWarning.",
            InterruptWarning,
        )


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
            network = build_byol_network(
                encoder, *dims, is_held=plan.is_held, frozen=plan.frozen
            )
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
        self.n_before = 0  # epochs that were trained when this began
        self.is_over = False
        self.checkpoints: Checkpoints | None = None
        self.whole: State | None = None  # of whole epochs, where a file is to have it
        self.first: Rows | None = None  # of some images, by random weights

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

    def note_whole(self, *, is_between: bool) -> None:
        """Copy the state of whole epochs, if there is a folder for it."""
        super().note_whole(is_between=is_between)
        if self.checkpoints is not None:
            self.whole = copied(state_of(self))

    def rescue(self, error: BaseException) -> None:
        """Write the state of the last whole epoch, and say how to go on from it.

        Whoever presses Ctrl-C twice waits for it.
        """
        with held_interrupts():
            self._write_whole()
        n_epochs = sum("train_loss" in row for row in self.net.history)
        n_new = n_epochs - self.n_before
        if n_new:
            error.add_note(_said_of_the_rest(n_epochs, n_new, self.checkpoints))

    def _write_whole(self) -> None:
        """Write the state of the last whole epoch, if no file has a later one."""
        checkpoints, whole = self.checkpoints, self.whole
        if checkpoints is None or whole is None or not self.plan.is_first:
            return
        if checkpoints.step <= whole["step"]:
            checkpoints.write(whole)

    def stop(self) -> None:
        """Keep what there is; the next epoch is another one."""
        with held_interrupts():
            self._write_whole()
        kept = self.checkpoints
        if kept is not None and kept.step >= 0 and not kept.is_failing:
            self.goes_on_by = "The next fit resumes in checkpoint. "
        super().stop()
        self.figures, drawn = EpochFigures(), self.batches.state()
        self.batches.load({**drawn, "n_drawn": 0})
        self._count_steps()

    def _count_steps(self) -> None:
        """Count the steps of whole epochs, where training has an end."""
        if math.isfinite(self.plan.schedule.n_steps):
            self.net.step_ = len(self.net.history) * len(self.batches)

    def extend(self) -> None:
        """Let a training that is over go on, by the schedules of the plan.

        With other images than before, what counts is how many epochs were trained.
        """
        if self.is_over:
            self.is_over, self.stopping = False, []
            self._count_steps()

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


def _said_of_the_rest(
    n_epochs: int, n_new: int, checkpoints: Checkpoints | None
) -> str:
    """Say what is left of a training that was cut off, and how to go on."""
    if checkpoints is None:
        return (
            f"{_epochs(n_new)} lost. With checkpoint='folder' the same "
            "fit resumes from the last one; with on_interrupt='keep' Ctrl-C ends "
            "it and keeps what there is."
        )
    if checkpoints.is_failing:
        return "Its state could not be written to checkpoint."
    return (
        f"{_epochs(n_epochs)} kept in checkpoint="
        f"{str(checkpoints.folder)!r}: call fit again, with the same images and "
        "parameters, to resume from there."
    )


def _epochs(n: int) -> str:
    """Count epochs in words."""
    return "1 whole epoch" if n == 1 else f"{n} whole epochs"
