"""What torchrun or accelerate launch have told this process."""

import copy
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = [
    "ALONE",
    "ManyProcesses",
    "OneProcess",
    "Processes",
    "check_place",
    "join",
    "local_rank",
    "n_launched",
]


def n_launched() -> int:
    """Count the processes that were launched to train together; 1 without a launcher.

    Returns
    -------
    int
        The size of torch's process group if there is one, else WORLD_SIZE.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE") or 1)


def local_rank() -> int | None:
    """Return the place of this process on its machine, None without a launcher.

    Returns
    -------
    int or None
        LOCAL_RANK, which chooses the GPU.
    """
    rank = os.environ.get("LOCAL_RANK")
    return int(rank) if rank and n_launched() > 1 else None


def check_place() -> None:
    """Refuse to join the others from a worker or a thread of a launched process.

    Raises
    ------
    RuntimeError
        If this is a process of joblib's or the like, or not the main thread: two
        trainings at a time would take each other's messages.
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


T = TypeVar("T")

TIMEOUT = timedelta(minutes=10)  # that a process waits for the others
STEPS_BETWEEN_MEETINGS = 100


class TakesImages(Protocol):
    """What is wrapped: a network of two views, and images to try it on."""

    def __getitem__(self, indices: Any) -> Tensor:
        """Return images (n, n_channels, height, width)."""


class OneProcess:
    """A training by itself: nothing is shared, and nobody is asked or waited for."""

    rank, n = 0, 1
    is_first = True

    def seed(self, seed: int) -> int:
        """Return the seed of what this process draws for its own share."""
        return seed

    def share(self, part: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return what this process takes of a batch."""
        return part

    def wrap(self, network: nn.Module, images: TakesImages) -> Callable[..., Any]:
        """Return the network's forward pass, its gradients averaged over all."""
        return network.__call__

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        return values

    def joined(self, rows: Tensor) -> Tensor:
        """Put the rows of all shares below each other, on the CPU."""
        return rows.cpu()

    def every(self, value: T) -> list[T]:
        """Return what each process has passed, in the order of their ranks."""
        return [value]

    def first(self, value: T) -> T:
        """Return what the first process has passed."""
        return value

    def ask_first(self, function: Callable[[], T]) -> T:
        """Let the first process call a function; all have its result or its error."""
        return function()

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others."""

    def is_meeting(self, step: int) -> bool:
        """Tell whether the processes may agree on something after this step."""
        return True

    def check_same(self, describe: Callable[[], dict[str, str]]) -> None:
        """Refuse to train together on what is not the same everywhere."""

    def together(self) -> Any:
        """Return the context of a training."""
        return nullcontext()


ALONE = OneProcess()


class ManyProcesses:
    """The processes of one launch, by Accelerate; each method is called by all of them.

    Gradients are averaged by DistributedDataParallel. On CUDA batch norm works on the
    statistics of the whole batch; on processors, where torch cannot do that, on those
    of each share, and the running statistics are those of the first process.

    Parameters
    ----------
    device : torch.device
        Where this process trains.

    Raises
    ------
    ImportError
        If Accelerate is not installed.
    RuntimeError
        If an earlier training has failed in this process, so that others may still wait
        for it; or the device is not one that these processes can have.
    """

    has_failed = False

    def __init__(self, device: torch.device) -> None:
        if self.has_failed:
            raise RuntimeError(
                "An earlier training of these launched processes has failed in this "
                "one, so that they no longer keep step. Launch them again."
            )
        self.device = device
        self.accelerator = self._accelerator(find_unused_parameters=False)
        self.rank = self.accelerator.process_index
        self.n = self.accelerator.num_processes
        self.is_first = self.rank == 0

    def _accelerator(self, *, find_unused_parameters: bool) -> Any:
        """Join the group of processes, and say how networks are wrapped."""
        try:
            from accelerate import Accelerator  # noqa: PLC0415  an extra
            from accelerate.utils import (  # noqa: PLC0415
                DistributedDataParallelKwargs,
                InitProcessGroupKwargs,
            )
        except ImportError as error:
            raise ImportError(
                f"WORLD_SIZE says that {n_launched()} processes were launched to train "
                "together, which takes Accelerate: pip install "
                "'sklearn-byol[distributed]'. If nothing was launched, unset it."
            ) from error
        backend = "gloo" if self.device.type == "cpu" else "nccl"
        accelerator = Accelerator(
            device_placement=False,  # what is passed to it is there already
            cpu=self.device.type == "cpu",
            mixed_precision="no",  # `precision` says it
            kwargs_handlers=[
                InitProcessGroupKwargs(backend=backend, timeout=TIMEOUT),
                DistributedDataParallelKwargs(
                    find_unused_parameters=find_unused_parameters
                ),
            ],
        )
        kind = getattr(accelerator.distributed_type, "value", "")
        if kind not in {"MULTI_CPU", "MULTI_GPU"} or not _is_same(
            accelerator.device, self.device
        ):
            raise RuntimeError(
                f"These processes were launched for {kind} on {accelerator.device}, "
                f"but device is {str(self.device)!r}. BYOLTransformer trains by "
                "torchrun or a plain `accelerate launch`, on processors with "
                "device='cpu' or on one CUDA device for each process."
            )
        return accelerator

    def seed(self, seed: int) -> int:
        """Return the seed of what this process draws for its own share."""
        if self.is_first:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0])

    def share(self, part: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return what this process takes of a batch; shares differ by one at most."""
        return np.array_split(part, self.n)[self.rank]

    def wrap(self, network: nn.Module, images: TakesImages) -> Callable[..., Any]:
        """Return the network's forward pass, its gradients averaged over all."""
        trial = images[np.arange(2)].to(self.device)
        has_idle = any(self.every(has_idle_weights(network, trial)))
        accelerator = self._accelerator(find_unused_parameters=has_idle)
        if self.device.type == "cuda":
            network = synchronised(network)
        wrapped: Callable[..., Any] = accelerator.prepare_model(network).__call__
        return wrapped

    def mean(self, values: Tensor) -> Tensor:
        """Average numbers over the processes."""
        return self.accelerator.reduce(values, reduction="mean")

    def joined(self, rows: Tensor) -> Tensor:
        """Put the rows of all shares below each other, on the CPU."""
        return torch.cat(self.every(rows.cpu()))

    def every(self, value: T) -> list[T]:
        """Return what each process has passed, in the order of their ranks."""
        from accelerate.utils import gather_object  # noqa: PLC0415

        values: list[T] = gather_object([value])
        return values

    def first(self, value: T) -> T:
        """Return what the first process has passed."""
        from accelerate.utils import broadcast_object_list  # noqa: PLC0415

        passed: T = broadcast_object_list([value if self.is_first else None])[0]
        return passed

    def ask_first(self, function: Callable[[], T]) -> T:
        """Let the first process call a function; all have its result or its error."""
        if not self.is_first:
            result, text = self.first((None, ""))
            if text:
                raise ValueError(text)
            return result  # type: ignore[return-value]
        try:
            result = function()
        except Exception as error:
            self.first((None, str(error) or repr(error)))
            raise
        self.first((result, ""))
        return result

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others."""
        from accelerate.utils import broadcast  # noqa: PLC0415

        for tensor in tensors:
            tensor.detach().copy_(broadcast(tensor.detach().contiguous()))

    def is_meeting(self, step: int) -> bool:
        """Tell whether the processes may agree on something after this step."""
        return step % STEPS_BETWEEN_MEETINGS == 0

    def check_same(self, describe: Callable[[], dict[str, str]]) -> None:
        """Refuse to train together on what is not the same everywhere.

        Raises
        ------
        ValueError
            If some process was given other images or parameters than the first; all
            processes raise it.
        """
        abouts = self.every(describe())
        differences = [
            f"{name} is {abouts[0].get(name)} in process 0 and {other.get(name)} in "
            f"process {rank}"
            for rank, other in enumerate(abouts)
            for name in sorted({*abouts[0], *other})
            if abouts[0].get(name) != other.get(name)
        ]
        if differences:
            raise ValueError(
                f"The {self.n} processes of this training were given different things: "
                f"{'; '.join(differences)}. Give each the same script, images and "
                "parameters: batches are shared out in here."
            )

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
                "the next launch goes on from the last file."
            )
            raise


Processes = OneProcess | ManyProcesses


def join(device: torch.device) -> Processes:
    """Join the processes that were launched together with this one, if any.

    Parameters
    ----------
    device : torch.device
        Where this process trains.

    Returns
    -------
    OneProcess or ManyProcesses
        Who trains.

    Raises
    ------
    ImportError
        If there are others, and Accelerate is not installed.
    RuntimeError
        If they cannot train together.
    """
    if n_launched() == 1:
        return ALONE
    check_place()
    return ManyProcesses(device)


def _is_same(one: torch.device, other: torch.device) -> bool:
    """Tell whether two devices are one; processors are not numbered."""
    return one.type == other.type and (one.type == "cpu" or one.index == other.index)


def has_idle_weights(network: nn.Module, images: Tensor) -> bool:
    """Tell whether some trainable weights get no gradient, by trying.

    Parameters
    ----------
    network : nn.Module
        From two views to tensors; a copy of it is tried.
    images : Tensor
        Two images, in place of views.

    Returns
    -------
    bool
        Whether DistributedDataParallel has to look for weights that are not used.
    """
    trial = copy.deepcopy(network).train()
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        output = trial(images, images)
    torch.stack([t.sum() for t in output if t.requires_grad]).sum().backward()
    return any(p.requires_grad and p.grad is None for p in trial.parameters())


def synchronised(network: nn.Module) -> nn.Module:
    """Copy a network's modules, not its tensors, with batch norm over all processes.

    The copy trains the weights and the running statistics of the original, whose batch
    norm stays one that works everywhere.

    Parameters
    ----------
    network : nn.Module
        What to copy.

    Returns
    -------
    nn.Module
        Modules that hold the same tensors.
    """
    tensors = [*network.parameters(), *network.buffers()]
    twin = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(twin)
    return converted.train()
