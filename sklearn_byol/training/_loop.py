"""Algorithm 1 of the paper: what happens in an epoch, and what in a step.

skorch's net is what callbacks look at; its own loop has no part in it. Fine-tuning has
the same epochs, with another step.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from skorch.callbacks import Callback
from skorch.exceptions import SkorchException
from skorch.utils import TeeGenerator
from torch import Tensor

from sklearn_byol.objective import (
    byol_loss,
    learning_rate_at,
    momentum_at,
    spread,
    update_target,
)
from sklearn_byol.training._batches import Batch
from sklearn_byol.training._callbacks import BAR, check_monitors
from sklearn_byol.training._history import plain
from sklearn_byol.training._interrupts import NotedInterrupts
from sklearn_byol.training._training import Training, Trains

T = TypeVar("T", bound=Trains)
Step = Callable[[T, Batch], None]
Figures = dict[str, Tensor]  # what a step is looked at for
Learns = Callable[[Training, Batch, float], Figures]


def train(training: T, step: Step[T]) -> None:
    """Train to the last epoch, or until a callback asks to stop.

    Ctrl-C ends it as an error does, or is taken for such a wish if the plan says so.
    """
    interrupts, tells = NotedInterrupts(), False
    try:
        with interrupts:
            training.net.notify("on_train_begin", X=training.images, y=None)
            tells = True
            training.begin()
            _train_epochs(training, step)
            tells = False
            training.net.notify("on_train_end", X=training.images, y=None)
    except KeyboardInterrupt as interrupt:
        stops = training.may_stop(by_signal=interrupts.was_raised)
        _end(training, interrupt, stops=stops, tells=tells)
        if not stops:
            raise
    except BaseException as error:
        _end(training, error, tells=tells)
        raise


def _end(
    training: Trains, error: BaseException, *, tells: bool, stops: bool = False
) -> None:
    """Keep what there is, or note what is left of it, and tell the callbacks.

    The bar alone is told where callbacks do not know of the beginning yet, or know of
    the end already.
    """
    try:
        if stops:
            training.stop()
        elif not isinstance(error, FloatingPointError):
            training.rescue(error)  # what has led to the other is not worth keeping
    finally:
        for name, callback in training.net.callbacks_:
            if tells or name == BAR:
                _tell(training, error, name, callback)


def _tell(
    training: Trains, error: BaseException, name: str, callback: Callback
) -> None:
    """Tell a callback of the end; what it raises is a note of the error before it."""
    try:
        callback.on_train_end(training.net, X=training.images, y=None)
    except BaseException as other:  # noqa: BLE001  of the user's own code
        what = f"{name!r} in callbacks failed then, at on_train_end: {other!r}"
        training.note_of_callback(error, what)


def _train_epochs(training: T, step: Step[T]) -> None:
    """Train epoch by epoch; callbacks of one that was cut off are told first."""
    stops = False
    if training.is_between:
        stops = end_epoch(training)
        training.note_whole(is_between=False)
    while not (stops or training.has_ended()):
        train_epoch(training, step)
        training.note_whole(is_between=True)
        stops = end_epoch(training)
        training.note_whole(is_between=False)
        if not stops:
            training.write_if_due()


def train_epoch(training: T, step: Step[T]) -> None:
    """Go through all images once, a step for each batch."""
    net, processes = training.net, training.plan.processes
    net.notify("on_epoch_begin", dataset_train=training.images, dataset_valid=None)
    training.begin_epoch()
    for batch in training.batches:
        step(training, batch)
        if processes.is_meeting(net.step_):
            training.write_if_due()
    processes.equalise(net.module_.buffers())
    training.record()


def train_step(training: Training, views: Batch, learns: Learns | None = None) -> None:
    """Learn from two views v, v' of each image, and move the target network."""
    net, plan = training.net, training.plan.schedule
    if training.sets_lr:
        lr = learning_rate_at(net.step_, plan.n_steps, plan.n_warmup, plan.lr)
        for group in net.optimizer_.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
    momentum = momentum_at(net.step_, plan.n_steps, plan.momentum)
    net.notify("on_batch_begin", batch=views, training=True)
    figures = (learns or learn)(training, views, momentum)
    net.step_, net.momentum_ = net.step_ + 1, momentum
    training.figures.add(figures, len(views[0]), net.step_, training.plan.processes)
    net.notify("on_batch_end", batch=views, training=True, **figures)


def learn(training: Training, views: Batch, momentum: float | Tensor) -> Figures:
    """Descend along the gradients of the loss; move the target network after it."""
    figures: Figures = {}
    descend(training, views, lambda: compare(training, views, figures))
    update_target(training.xi, training.theta, momentum)
    return figures


def compare(training: Training, views: Batch, figures: Figures) -> Tensor:
    """Compute the loss of one pair of views; what else is looked at is put aside."""
    view_1, view_2 = (v.contiguous(memory_format=torch.channels_last) for v in views)
    with training.plan.autocast():
        # Both networks see both views: q(g(f(v))) online, g(f(v')) of the target.
        output = training.forward(view_1, view_2)
    loss = byol_loss(
        output.prediction_1, output.prediction_2, output.target_1, output.target_2
    )
    loss = loss * training.batches.weight
    figures["loss"] = loss.detach()
    figures["y_pred"] = output.prediction_1.detach()
    figures["spread"] = spread(output.projection_1)
    figures["projection"] = output.projection_1.detach()
    return loss


def descend(training: Trains, batch: Batch, compute_loss: Callable[[], Tensor]) -> None:
    """Take a step of the optimizer along the gradients of a loss."""
    net, scaler = training.net, training.scaler

    def compute_gradients() -> Tensor:
        net.optimizer_.zero_grad()
        loss = compute_loss()
        scaler.scale(loss).backward()
        scaler.unscale_(net.optimizer_)
        weights = TeeGenerator(net.module_.named_parameters())
        net.notify("on_grad_computed", named_parameters=weights, batch=batch)
        return loss

    if scaler.is_enabled():  # it takes no function
        with torch.enable_grad():
            compute_gradients()
        scaler.step(net.optimizer_)
        scaler.update()
    else:
        net.optimizer_.step(compute_gradients)


def end_epoch(training: Trains) -> bool:
    """Tell the callbacks; return whether one of them, in any process, asks to stop.

    Callbacks of skorch ask by raising KeyboardInterrupt.
    """
    net, images, processes = training.net, training.images, training.plan.processes
    stops = False
    with NotedInterrupts() as interrupts:
        try:
            net.notify("on_epoch_end", dataset_train=images, dataset_valid=None)
        except KeyboardInterrupt:
            if interrupts.was_raised:
                raise
            stops = True
        except (LookupError, SkorchException, ValueError):
            check_monitors(net.callbacks_, net.history[-1])
            raise
    # One row of the history in all processes, which stop or go on together.
    net.history[-1].update(processes.first(plain(net.history[-1])))
    return any(processes.every(stops))
