"""Small tensors on a device, without waiting for what it computes."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["on_device"]


def on_device(values: Any, device: torch.device) -> Tensor:
    """Put a few numbers on a device; a GPU goes on with what it computes meanwhile.

    `torch.tensor(values, device=device)` would wait for a GPU to end all that it was
    given before. CUDA copies from ordinary memory are safe without: the call returns
    when the numbers have been read.

    Parameters
    ----------
    values : Tensor, ndarray or sequence of float
        The numbers.
    device : torch.device
        Where they are needed.

    Returns
    -------
    Tensor
        The numbers; on the CPU they may share memory with what was given.
    """
    return torch.as_tensor(values).to(device, non_blocking=device.type == "cuda")
