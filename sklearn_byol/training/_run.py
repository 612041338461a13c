"""One training from its beginning, or where it was left, to its end."""

import itertools
import math
from contextlib import ExitStack, nullcontext

import torch
from torch import nn

from sklearn_byol.training._checkpoints import Checkpoints, State, as_tensors, go_back
from sklearn_byol.training._device import KEPT_MEMORY, batches_advice, seeded_torch
from sklearn_byol.training._health import learned_rows
from sklearn_byol.training._history import (
    EpochFigures,
    History,
    Row,
    history_of,
    plain,
    rows_of,
)
from sklearn_byol.training._loop import Figures, compare, train
from sklearn_byol.training._recorded import steps_of
from sklearn_byol.training._training import Training

N_LOOKED_AT = 16  # batches, before the first step; one where none follows


def run(
    training: Training,
    checkpoints: Checkpoints | None = None,
    kept: State | None = None,
    *,
    extends: bool = False,
    former: History | None = None,
) -> History:
    """Train to the last epoch of the plan; the encoder ends in evaluation mode.

    It goes on from the newer of the state that is kept and that of a checkpoint;
    `extends` says that one which is over may be gone on with. Where there is no state,
    the history may go on behind that of a former training.
    """
    training.checkpoints = checkpoints
    is_endless = math.isinf(training.plan.schedule.n_steps)
    if former is not None:
        training.start, training.net.history[:] = rows_of(former)
    with ExitStack() as held, batches_advice(training.plan.batch_size):
        _resume(training, kept, held)
        if extends:
            training.extend()
        training.n_before = len(training.net.history)
        knows = training.plan.is_pretrained or not training.plan.max_epochs
        if knows and training.start is None and not training.is_over:
            training.start = _look(training)
        if not (training.is_over or (training.has_ended() and not training.is_between)):
            if not (training.plan.is_pretrained or training.net.history or is_endless):
                training.first = learned_rows(training)
            _train(training)
        training.is_over, training.whole = not training.was_interrupted, None
    training.encoder.zero_grad()  # gradients take as much memory as the weights
    training.encoder.eval().to(memory_format=torch.contiguous_format)
    start = [] if training.start is None else [training.start]
    return history_of([*start, *training.net.history])


def _resume(training: Training, kept: State | None, held: ExitStack) -> None:
    """Hold the folder, and go back to the newest state, in a file or kept."""
    checkpoints, state = training.checkpoints, None
    if checkpoints is not None:
        folder = checkpoints.opened()
        state = training.plan.processes.ask_first(lambda: held.enter_context(folder))
    if kept is not None and (state is None or state["step"] <= kept["step"]):
        go_back(training, as_tensors(kept))
    elif checkpoints is not None and state is not None:
        _restore(training, checkpoints, state)


def _restore(training: Training, checkpoints: Checkpoints, state: State) -> None:
    """Go back to the state of a file, or say that it is not that of such a training."""
    try:
        go_back(training, state)
        _check_finite(training.encoder)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise checkpoints.strange(f"{type(error).__name__}: {error}") from error


def _train(training: Training) -> None:
    """Train, and write the state of the end."""
    processes = training.plan.processes
    memory = KEPT_MEMORY if training.plan.device.type == "cpu" else nullcontext()
    with (
        training.own_global_state(),
        memory,
        processes.together(),
        steps_of(training) as step,
    ):
        train(training, step)
        processes.equalise(training.net.module_.state_dict().values())
        _check_finite(training.encoder)
        if training.was_interrupted:
            return
        training.is_over = True
        training.write()


@torch.no_grad()
def _look(training: Training) -> Row:
    """Compute the figures of the first batches as in training, and change nothing."""
    net, plan, processes = training.net, training.plan, training.plan.processes
    drawn, figures = training.batches.state(), EpochFigures()
    buffers = {name: b.clone() for name, b in net.module_.named_buffers()}
    net.module_.train()
    with seeded_torch(processes.seed(plan.seed), plan.device):
        n_batches = N_LOOKED_AT if plan.max_epochs else 1
        first = itertools.islice(training.batches, n_batches)
        for n_steps, views in enumerate(first, 1):
            step: Figures = {}
            compare(training, views, step)
            figures.add(step, len(views[0]), n_steps, processes)
    training.batches.load(drawn)
    for name, buffer in net.module_.named_buffers():
        buffer.copy_(buffers[name])
    row = figures.row(processes)
    row |= {"epoch": 0, "lr": 0.0, "momentum": plan.schedule.momentum}
    for _, callback in net.callbacks_:
        if hasattr(callback, "at_start"):
            row |= {k: v for k, v in callback.at_start(net).items() if k not in row}
    return processes.first(plain(row))


def _check_finite(encoder: nn.Module) -> None:
    """Raise if the last steps have destroyed the weights, which no loss has shown."""
    if not all(bool(weight.isfinite().all()) for weight in encoder.parameters()):
        raise FloatingPointError(
            "Weights of the encoder are infinite or not a number after the last step. "
            "Try a lower lr or a longer warm-up."
        )
