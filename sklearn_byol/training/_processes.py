"""What torchrun or accelerate launch have told this process."""

import copy
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from sklearn_byol.networks._byol import BYOLOutput

T = TypeVar("T")
Indices = NDArray[np.intp]
Forward = Callable[[Tensor, Tensor], BYOLOutput]

TIMEOUT = timedelta(minutes=10)  # that a process waits for the others
STEPS_BETWEEN_MEETINGS = 100


def n_launched() -> int:
    """Count the processes of torch's group, or before there is one of WORLD_SIZE."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE") or 1)


def local_rank() -> int | None:
    """Return LOCAL_RANK, the place of this process on its machine; None if alone."""
    rank = os.environ.get("LOCAL_RANK")
    return int(rank) if rank and n_launched() > 1 else None


class Processes:
    """A training by itself: nothing is shared, and nobody is asked or waited for."""

    rank, n = 0, 1
    is_first = True
    steps_between_meetings = 1

    def seed(self, seed: int) -> int:
        """Return the seed of what this process draws for its own share."""
        if self.is_first:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0])

    def share(self, part: Indices) -> Indices:
        """Return what this process takes of a batch; shares differ by one at most."""
        return np.array_split(part, self.n)[self.rank]

    def wrap(self, network: nn.Module, read: Callable[[Indices], Tensor]) -> Forward:
        """Return the network's forward pass, its gradients averaged over all."""
        return network.__call__

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        return values

    def every(self, value: T) -> list[T]:
        """Return what each process has passed, in the order of their ranks."""
        return [value]

    def first(self, value: T) -> T:
        """Return what the first process has passed."""
        return value

    def joined(self, rows: Tensor) -> Tensor:
        """Put the rows of all shares below each other, on the CPU."""
        return torch.cat(self.every(rows.cpu()))

    def ask_first(self, function: Callable[[], T]) -> T:
        """Let the first process call a function; all have its result or its error."""
        result = None
        try:
            if self.is_first:
                result = function()
        except Exception as error:
            self.first((None, str(error) or repr(error)))
            raise
        result, text = self.first((result, ""))
        if text:
            raise ValueError(text)
        return result  # type: ignore[return-value]

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others."""

    def is_meeting(self, step: int) -> bool:
        """Tell whether the processes may agree on something after this step."""
        return step % self.steps_between_meetings == 0

    def check_same(self, describe: Callable[[], dict[str, str]]) -> None:
        """Refuse, in all processes, to train on what is not the same everywhere."""
        if self.n == 1:
            return
        first, *others = self.every(describe())
        differences = [
            f"{name} is {first.get(name)} in process 0 and {other.get(name)} in "
            f"process {rank}"
            for rank, other in enumerate(others, 1)
            for name in sorted({*first, *other})
            if first.get(name) != other.get(name)
        ]
        if differences:
            raise ValueError(
                f"The {self.n} processes of this training were given different things: "
                f"{'; '.join(differences)}. Give each the same script, images and "
                "parameters: batches are shared out in here."
            )

    def together(self) -> AbstractContextManager[None]:
        """Return the context of a training."""
        return nullcontext()


ALONE = Processes()


class ManyProcesses(Processes):
    """The processes of one launch; each method is called by all of them.

    Gradients are averaged by DistributedDataParallel. On CUDA batch norm works on the
    statistics of the whole batch; on CPUs, where torch cannot do that, on those
    of each share, and the running statistics are those of the first process.
    """

    steps_between_meetings = STEPS_BETWEEN_MEETINGS
    has_failed = False

    def __init__(self, device: torch.device) -> None:
        if self.has_failed:
            raise RuntimeError(
                "An earlier training of these launched processes has failed in this "
                "one, so that they no longer keep step. Launch them again."
            )
        _check_device(device)
        if device.index is not None:
            torch.cuda.set_device(device)  # which nccl takes
        if not distributed.is_initialized():
            _check_environment()
            backend = "gloo" if device.type == "cpu" else "nccl"
            distributed.init_process_group(backend, timeout=TIMEOUT)
        backends = distributed.get_backend_config()  # "cpu:gloo,cuda:nccl", say
        if f"{device.type}:" not in backends:
            raise RuntimeError(
                f"device is {str(device)!r}, and the process group of this program has "
                f"backends for {backends!r} alone. Begin it with backend='cpu:gloo,"
                "cuda:nccl', or pass a device that has one."
            )
        self.device = device
        self.rank, self.n = distributed.get_rank(), distributed.get_world_size()
        self.is_first = self.rank == 0

    def wrap(self, network: nn.Module, read: Callable[[Indices], Tensor]) -> Forward:
        """Return the network's forward pass, its gradients averaged over all."""
        trial = read(np.arange(2)).to(self.device)
        has_idle = any(self.every(has_idle_weights(network, trial)))
        if self.device.type == "cuda":
            network = synchronised(network)
        wrapped = DistributedDataParallel(network, find_unused_parameters=has_idle)
        return wrapped.__call__

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.n

    def every(self, value: T) -> list[T]:
        """Return what each process has passed, in the order of their ranks."""
        values = [value] * self.n
        distributed.all_gather_object(values, value)
        return values

    def first(self, value: T) -> T:
        """Return what the first process has passed."""
        passed = [value]
        distributed.broadcast_object_list(passed, src=0)
        return passed[0]

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others."""
        for tensor in tensors:
            passed = tensor.detach().contiguous()
            distributed.broadcast(passed, src=0)
            tensor.detach().copy_(passed)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Train; after an error others may be in the middle of a step.

        A loss that is not finite is seen by all at once, so that a search may go on.
        """
        try:
            yield
        except FloatingPointError:
            raise
        except BaseException as error:
            type(self).has_failed = True
            error.add_note(
                f"This was process {self.rank} of {self.n} that trained together. If "
                "another has failed, look at its error first. With checkpoint='folder' "
                "the next launch resumes from the last file."
            )
            raise


def join(device: torch.device) -> Processes:
    """Join the processes that were launched together with this one, if any."""
    if n_launched() == 1:
        return ALONE
    check_place()
    return ManyProcesses(device)


def check_place() -> None:
    """Refuse to join the others from a worker or a thread of a launched process.

    Two trainings at a time would take each other's messages.
    """
    is_child = multiprocessing.current_process().name != "MainProcess"
    if is_child or threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            f"A training of {n_launched()} launched processes was begun in a worker "
            "process or a thread of one of them. Searches and cross-validation under "
            "torchrun take n_jobs=None: each fit is shared by all processes. Without "
            "torchrun they take any n_jobs, and each fit has one process. If nothing "
            "was launched, unset WORLD_SIZE."
        )


def _check_device(device: torch.device) -> None:
    """Refuse a device that processes cannot share, or that is another process's."""
    rank = local_rank()
    if rank is None and device == torch.device("cuda"):  # the one that is current
        return
    own = device.index if rank is None else rank % max(1, torch.cuda.device_count())
    if device.type != "cpu" and str(device) != f"cuda:{own}":
        raise RuntimeError(
            f"device is {str(device)!r} in a process with LOCAL_RANK={rank}. Processes "
            "that train together have device='cpu' or one CUDA device each, that of "
            "their LOCAL_RANK, which device='auto' takes."
        )


def _check_environment() -> None:
    """Refuse to look for other processes where a launcher has not said how."""
    missing = sorted({"MASTER_ADDR", "MASTER_PORT", "RANK"} - os.environ.keys())
    if missing:
        raise RuntimeError(
            f"WORLD_SIZE says that {n_launched()} processes were launched to train "
            f"together, but there is no {' and no '.join(missing)}. Launch them by "
            "torchrun, which sets all. If nothing was launched, unset WORLD_SIZE."
        )


def has_idle_weights(network: nn.Module, images: Tensor) -> bool:
    """Tell whether some trainable weights get no gradient, by trying two images."""
    trial = copy.deepcopy(network).train()
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        output = trial(images, images)
    torch.stack([t.sum() for t in output if t.requires_grad]).sum().backward()
    return any(p.requires_grad and p.grad is None for p in trial.parameters())


def synchronised(network: nn.Module) -> nn.Module:
    """Copy a network's modules, not its tensors, with batch norm over all processes.

    The copy trains the weights and the running statistics of the original, whose batch
    norm stays one that works everywhere.
    """
    tensors = [*network.parameters(), *network.buffers()]
    twin = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(twin)
    return converted.train()
