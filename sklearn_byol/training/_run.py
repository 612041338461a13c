"""One training from its beginning, or where it was left, to its end."""

import itertools
import time
from contextlib import ExitStack, nullcontext

import torch
from torch import Tensor

from sklearn_byol.objective import effective_rank
from sklearn_byol.training._checkpoints import Checkpoints, State, as_tensors, go_back
from sklearn_byol.training._device import (
    KEPT_MEMORY,
    batches_advice,
    seeded_torch,
)
from sklearn_byol.training._history import (
    History,
    check_finite,
    plain,
    warn_if_collapsed,
)
from sklearn_byol.training._loop import compare, train
from sklearn_byol.training._recorded import steps_of
from sklearn_byol.training._training import Training

N_LOOKED_AT = 16  # batches, before the first step


def run(
    training: Training,
    checkpoints: Checkpoints | None = None,
    kept: State | None = None,
    *,
    extends: bool = False,
) -> History:
    """Train to the last epoch of the plan; the encoder ends in evaluation mode.

    It goes on from the newer of the state that is kept and that of a checkpoint;
    `extends` says that one which is over may be gone on with.
    """
    training.checkpoints = checkpoints
    with ExitStack() as held, batches_advice(training.plan.batch_size):
        _resume(training, kept, held)
        if extends:
            training.extend()
        knows = training.plan.is_pretrained or not training.plan.max_epochs
        if knows and training.start is None and not training.is_over:
            training.start = _look(training)
        if not (training.is_over or training.has_ended()):
            _train(training)
        training.is_over = True
    training.encoder.zero_grad()  # gradients take as much memory as the weights
    training.encoder.eval().to(memory_format=torch.contiguous_format)
    history = training.history()
    warn_if_collapsed(history)
    return history


def _resume(training: Training, kept: State | None, held: ExitStack) -> None:
    """Hold the folder, and go back to the newest state, in a file or kept."""
    checkpoints, state = training.checkpoints, None
    if checkpoints is not None:

        def take() -> State | None:
            held.enter_context(checkpoints.locked())
            return checkpoints.newest()

        state = training.plan.processes.ask_first(take)
    if kept is not None and (state is None or state["step"] <= kept["step"]):
        go_back(training, as_tensors(kept))
    elif checkpoints is not None and state is not None:
        _restore(training, checkpoints, state)


def _restore(training: Training, checkpoints: Checkpoints, state: State) -> None:
    """Go back to the state of a file, or say that it is not that of such a training."""
    try:
        go_back(training, state)
        check_finite(training.encoder)
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
        check_finite(training.encoder)
        training.is_over = True
        training.write()


@torch.no_grad()
def _look(training: Training) -> dict[str, float]:
    """Compute the figures of the first batches, and change nothing.

    Batch norm works on the statistics of each batch, as in training.
    """
    net, plan, processes = training.net, training.plan, training.plan.processes
    drawn = training.batches.state()
    buffers = {name: b.clone() for name, b in net.module_.named_buffers()}
    net.module_.train()
    began, n_images = time.perf_counter(), 0
    looks: list[dict[str, Tensor]] = []
    with seeded_torch(processes.seed(plan.seed), plan.device):
        for views in itertools.islice(training.batches, N_LOOKED_AT):
            looks.append({})
            compare(training, views, looks[-1])
            n_images += len(views[0])
    training.batches.load(drawn)
    for name, buffer in net.module_.named_buffers():
        buffer.copy_(buffers[name])
    seconds = time.perf_counter() - began
    row = {
        "epoch": 0,
        **{
            key: processes.mean(torch.stack([look[name] for look in looks])).mean()
            for key, name in (("train_loss", "loss"), ("spread", "spread"))
        },
        "effective_rank": effective_rank(processes.joined(looks[-1]["projection"])),
        "lr": 0.0,
        "momentum": plan.schedule.momentum,
        "seconds": seconds,
        "images_per_second": sum(processes.every(n_images)) / seconds,
    }
    for _, callback in net.callbacks_:
        if hasattr(callback, "at_start"):
            row |= {k: v for k, v in callback.at_start(net).items() if k not in row}
    return processes.first(plain(row))
