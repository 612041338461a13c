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

from sklearn_byol.networks._residual import ResidualEncoder
from sklearn_byol.training._batches import Batch
from sklearn_byol.training._callbacks import NamedCallbacks
from sklearn_byol.training._device import GLOBAL_STATE
from sklearn_byol.training._loop import Figures, Step, learn, train_step
from sklearn_byol.training._side_by_side import (
    branches_of,
    passes_side_by_side,
    views_side_by_side,
)
from sklearn_byol.training._training import Training

T = TypeVar("T")

# Calls of a size before it is recorded: in the first ones cuDNN and cuBLAS choose their
# algorithms, and the optimizer makes its state.
N_BEFORE = 3
N_WORTH = 20  # steps that are left, from which on recording takes less than it saves
READ_LR_ON_GPU = {"adamw", "sgd"}  # optimizers
# A module that reads a number from the GPU cannot be recorded, and a recording that
# fails leaves torch's generators of no use: so only modules that are known.
RESNETS = "torchvision.models.resnet"
KNOWN_MODULES = ("torch.nn.modules.", "torchvision.ops.", "sklearn_byol.", RESNETS)
WAYS = ("forward", "forward_pre", "backward", "backward_pre")
HOOKS = [f"_{way}_hooks" for way in WAYS]
# Callbacks that look at no batch and change no step, besides the library's own.
KNOWN_CALLBACKS = {Checkpoint, EarlyStopping, EpochTimer, PrintLog}


class GraphMemory:
    """Where the graphs of one training compute: a device, a stream, and memory.

    The graphs share memory for what lives no longer than a step. So what one returns
    holds until another one is replayed, but for what goes from views to their step.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        with torch.cuda.device(device):
            beside = torch.cuda.current_stream().cuda_stream
            self.pool = torch.cuda.graph_pool_handle()
            first, *self.branches = branches_of(torch.cuda.current_device(), beside)
        self.stream = first.stream
        self.recorded: list[Recorded[Any]] = []

    def give_back(self) -> None:
        """Let go of all graphs, and what they return, before any process forks."""
        for function in self.recorded:
            function.graphs.clear()
        self.recorded.clear()

    def has_room(self) -> bool:
        """Tell whether all that was in use at once has room twice."""
        free, _ = torch.cuda.mem_get_info(self.device)
        peak = torch.cuda.max_memory_allocated(self.device)
        return 2 * peak < free + torch.cuda.memory_reserved(self.device)

    def record(
        self,
        function: Callable[..., T],
        inputs: Sequence[Tensor],
        generators: Sequence[Generator],
    ) -> tuple[torch.cuda.CUDAGraph, T]:
        """Record a function, by which nothing is computed; also what it returns."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        mode = "thread_local"  # the thread of a loader goes on
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode=mode),
        ):
            return graph, function(*inputs)


class Recorded(Generic[T]):
    """A function of tensors on a GPU that is replayed once it is recorded.

    What it returns lies in the same memory each time it is given tensors of a shape.
    """

    def __init__(
        self,
        function: Callable[..., T],
        memory: GraphMemory,
        generators: Sequence[Generator] = (),
    ) -> None:
        self.function, self.memory, self.generators = function, memory, generators
        self.n_calls: Counter[Any] = Counter()
        self.graphs: dict[Any, tuple[torch.cuda.CUDAGraph, Sequence[Tensor], T]] = {}
        memory.recorded.append(self)

    def __call__(self, *inputs: Tensor) -> T:
        """Call, record, or replay."""
        key = tuple(tensor.shape for tensor in inputs)
        if key not in self.graphs:
            self.n_calls[key] += 1
            if self.n_calls[key] <= N_BEFORE or not self._record(key, inputs):
                return self.function(*inputs)
        graph, kept, outputs = self.graphs[key]
        for mine, given in zip(kept, inputs, strict=True):
            if mine is not given:
                mine.copy_(given)
        graph.replay()
        return outputs

    def _record(self, key: Any, inputs: Sequence[Tensor]) -> bool:
        """Record the function, unless there is no room, or another thread is at it."""
        # While one records, torch's generator of the GPU must not draw, nor another
        # one record.
        if GLOBAL_STATE.acquire(blocking=False):
            try:
                if self.memory.has_room():
                    record = self.memory.record
                    graph, outputs = record(self.function, inputs, self.generators)
                    self.graphs[key] = graph, inputs, outputs
            finally:
                GLOBAL_STATE.release()
        return key in self.graphs


class LearnsOnGPU:
    """Learns from views by rates that the GPU reads from its own memory."""

    def __init__(self, training: Training, memory: GraphMemory | None = None) -> None:
        """Record steps where there is memory for their graphs."""
        device, optimizer = training.plan.device, training.net.optimizer_
        groups = optimizer.param_groups
        lrs = [torch.zeros((), dtype=torch.float32, device=device) for _ in groups]
        momentum = torch.zeros((), dtype=torch.float64, device=device)
        self.lrs, self.momentum = lrs, momentum

        def function(view_1: Tensor, view_2: Tensor) -> Figures:
            with rates_of(optimizer, lrs):
                return learn(training, (view_1, view_2), momentum)

        self.function: Callable[..., Figures] = function
        if memory is not None:
            self.function = Recorded(function, memory)

    def __call__(self, training: Training, views: Batch, momentum: float) -> Figures:
        """Do what `learn` does; numbers are copied, as the next step replaces them."""
        groups = training.net.optimizer_.param_groups
        for lr, group in zip(self.lrs, groups, strict=True):
            lr.fill_(group["lr"])
        self.momentum.fill_(momentum)
        figures = self.function(*views)
        return {k: v if v.ndim else v.clone() for k, v in figures.items()}


@contextmanager
def rates_of(optimizer: Optimizer, lrs: Sequence[Tensor]) -> Iterator[None]:
    """Let an optimizer read the learning rate of each group from a tensor."""
    # What is capturable computes the same, but torch warns of it where nothing records.
    records = lrs[0].is_cuda and torch.cuda.is_current_stream_capturing()
    groups = list(optimizer.param_groups)
    before: list[dict[str, Any]] = [
        {key: group[key] for key in ("lr", "capturable") if key in group}
        for group in groups
    ]
    for group, lr in zip(groups, lrs, strict=True):
        group["lr"] = lr
        if "capturable" in group:
            group["capturable"] = group["capturable"] or records
    try:
        yield
    finally:
        for group, own in zip(groups, before, strict=True):
            group.update(own)


@contextmanager
def steps_of(training: Training) -> Iterator[Step[Training]]:
    """Give the step of a training; on a GPU it is recorded where that is possible."""
    plan, batches = training.plan, training.batches
    is_known = isinstance(plan.optimizer, str) and plan.optimizer in READ_LR_ON_GPU
    if plan.device.type != "cuda" or not (is_known and training.sets_lr):
        yield train_step
        return
    views, generator, memory = batches.views, batches.view_generator, None
    forward, network = training.forward, training.net.module_
    if can_record(training):
        memory = GraphMemory(plan.device)
        draw = views_side_by_side(views, memory.branches[0])
        drawn = Recorded(lambda images: draw(images, generator), memory, [generator])
        batches.views = lambda images, _: drawn(images)
        training.forward = passes_side_by_side(network, *memory.branches)
    try:
        yield partial(train_step, learns=LearnsOnGPU(training, memory))
    finally:
        batches.views, training.forward = views, forward
        if memory is not None:
            memory.give_back()
            network.zero_grad()


def can_record(training: Training) -> bool:
    """Tell whether each step of a training launches the same as the one before."""
    n_epochs = training.plan.max_epochs - len(training.net.history)
    return (
        n_epochs * len(training.batches) >= N_WORTH
        and training.plan.processes.n == 1
        and not training.is_global
        and not torch.is_anomaly_enabled()
        and is_known_network(training.encoder)
        and knows_callbacks(training.net.callbacks_)
    )


def is_known_network(encoder: nn.Module) -> bool:
    """Tell whether a network, normalised and read out, never asks the GPU."""
    network = getattr(encoder, "network", None)
    is_ours = isinstance(network, ResidualEncoder)
    is_resnet = type(network).__module__ == RESNETS
    return (is_ours or is_resnet) and all(map(_is_known, encoder.modules()))


def _is_known(part: nn.Module) -> bool:
    """Tell whether a module is one of a library, without hooks."""
    # Batch norm without a momentum averages by a count that it reads from the GPU.
    counts = getattr(part, "momentum", 0) is None
    has_hooks = any(getattr(part, name) for name in HOOKS)
    is_known = type(part).__module__.startswith(KNOWN_MODULES)
    return is_known and not (counts or has_hooks)


def knows_callbacks(callbacks: NamedCallbacks) -> bool:
    """Tell whether callbacks look at no batch, and leave alone what is trained."""
    others = {type(callback) for _, callback in callbacks} - KNOWN_CALLBACKS
    return all(kind.__module__.startswith("sklearn_byol.") for kind in others)
