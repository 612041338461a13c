"""Steps on a GPU: recorded once as CUDA graphs, and from then on replayed.

A step of a small network is hundreds of kernels of microseconds, which a program takes
longer to launch than a GPU to compute. Views, and what is learned from them, are each
recorded for every size of batch, and replayed by one launch.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from skorch.callbacks import Checkpoint, EarlyStopping, EpochTimer, PrintLog
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.networks import ResidualEncoder
from sklearn_byol.training._callbacks import NamedCallbacks, ProgressBar
from sklearn_byol.training._device import GLOBAL_STATE
from sklearn_byol.training._loop import Figures, Step, learn, train_step
from sklearn_byol.training._net import Batch
from sklearn_byol.training._training import Training

T = TypeVar("T")

N_BEFORE = 3  # calls of a size before it is recorded: libraries choose what they do
OPTIMIZERS = {"adamw", "sgd"}  # which read their learning rate from the GPU
# Torchvision's that are known to be recorded. Whatever asks the GPU for a number cannot
# be, and a recording that fails leaves torch's generators of no use.
RESNETS = "torchvision.models.resnet"
# Callbacks that look at no batch and change no step.
KNOWN = {Checkpoint, EarlyStopping, EpochTimer, PrintLog, ProgressBar}


class Recorded(Generic[T]):
    """A function of tensors on a GPU that is replayed once it is recorded.

    What it returns lies in the same memory each time, and holds until the next call.
    """

    def __init__(
        self,
        function: Callable[..., T],
        device: torch.device,
        generators: Sequence[Generator] = (),
    ) -> None:
        self.function, self.device, self.generators = function, device, generators
        self.n_calls: Counter[Any] = Counter()
        self.graphs: dict[Any, tuple[torch.cuda.CUDAGraph, Sequence[Tensor], T]] = {}

    def __call__(self, *inputs: Tensor) -> T:
        """Call, record, or replay."""
        key = tuple(tensor.shape for tensor in inputs)
        if key not in self.graphs:
            self.n_calls[key] += 1
            if self.n_calls[key] <= N_BEFORE:
                return self.function(*inputs)
            self.graphs[key] = self._record(inputs)
        graph, kept, outputs = self.graphs[key]
        for mine, given in zip(kept, inputs, strict=True):
            if mine is not given:
                mine.copy_(given)
        graph.replay()
        return outputs

    def _record(
        self, inputs: Sequence[Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, Sequence[Tensor], T]:
        """Record the function, by which nothing is computed."""
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        with GLOBAL_STATE, torch.cuda.device(self.device):
            stream = torch.cuda.Stream()
            # Other threads may use the GPU meanwhile, but for torch's own generator.
            with torch.cuda.graph(
                graph, stream=stream, capture_error_mode="thread_local"
            ):
                outputs = self.function(*inputs)
        return graph, inputs, outputs


class LearnsOnGPU:
    """Learns from views by rates that the GPU reads from its own memory."""

    def __init__(self, training: Training) -> None:
        device = training.plan.device
        self.lr = torch.zeros((), device=device)
        self.momentum = torch.zeros((), dtype=torch.float64, device=device)

        def function(
            view_1: Tensor, view_2: Tensor, lr: Tensor, momentum: Tensor
        ) -> Figures:
            with rates_of(training.net.optimizer_, lr):
                return learn(training, (view_1, view_2), momentum)

        self.function: Callable[..., Figures] = function
        if can_record(training):
            self.function = Recorded(function, device)

    def __call__(self, training: Training, views: Batch, momentum: float) -> Figures:
        """Do what `learn` does; numbers are copied, as the next step replaces them."""
        self.lr.fill_(training.net.optimizer_.param_groups[0]["lr"])
        self.momentum.fill_(momentum)
        figures = self.function(*views, self.lr, self.momentum)
        return {
            name: value if value.ndim else value.clone()
            for name, value in figures.items()
        }


@contextmanager
def rates_of(optimizer: Optimizer, lr: Tensor) -> Iterator[None]:
    """Let an optimizer read its learning rate from a tensor."""
    groups = optimizer.param_groups
    before = [dict(group) for group in groups]
    for group in groups:
        group["lr"] = lr
        if "capturable" in group:
            group["capturable"] = True
    try:
        yield
    finally:
        for group, old in zip(groups, before, strict=True):
            group.update(old)


@contextmanager
def steps_of(training: Training) -> Iterator[Step[Training]]:
    """Give the step of a training; on a GPU it is recorded where that is possible."""
    plan, batches = training.plan, training.batches
    is_known = isinstance(plan.optimizer, str) and plan.optimizer in OPTIMIZERS
    if plan.device.type != "cuda" or not (is_known and training.sets_lr):
        yield train_step
        return
    views, generator = batches.views, batches.view_generator
    if can_record(training):
        drawn = Recorded(
            lambda images: views(images, generator), plan.device, [generator]
        )
        batches.views = lambda images, _: drawn(images)
    try:
        yield partial(train_step, learns=LearnsOnGPU(training))
    finally:
        batches.views = views


def can_record(training: Training) -> bool:
    """Tell whether each step of a training launches the same as the one before."""
    return (
        training.processes.n == 1
        and not training.is_global
        and is_known_network(training.encoder)
        and knows_callbacks(training.net.callbacks_)
    )


def is_known_network(encoder: nn.Module) -> bool:
    """Tell whether a network, normalised and read out, never asks the GPU."""
    network = getattr(encoder, "network", None)
    is_ours = isinstance(network, ResidualEncoder)
    return is_ours or type(network).__module__ == RESNETS


def knows_callbacks(callbacks: NamedCallbacks) -> bool:
    """Tell whether callbacks look at no batch, and leave alone what is trained."""
    ours = "sklearn_byol."
    return all(
        type(callback) in KNOWN or type(callback).__module__.startswith(ours)
        for _, callback in callbacks
    )
