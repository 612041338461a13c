"""What torchrun or accelerate launch have told this process."""

import multiprocessing
import os
import threading

import torch

__all__ = ["check_place", "local_rank", "n_launched"]


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
