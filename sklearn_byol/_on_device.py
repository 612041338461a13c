"""Small tensors on a device, without waiting for what it computes."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["on_device"]


def on_device(values: Any, device: torch.device) -> Tensor:
    """Put a few numbers on a device; the program and a GPU go on meanwhile.

    `torch.tensor(values, device=device)` would wait for a GPU to end all that it was
    given before. Without waiting, CUDA has read ordinary memory before the call
    returns, so that it may be freed; where there is much to read, it may wait.

    Parameters
    ----------
    values : ndarray or sequence of float
        The numbers.
    device : torch.device
        Where they are needed.

    Returns
    -------
    Tensor
        The numbers; on the CPU they may share memory with what was given.
    """
    return torch.as_tensor(values, device="cpu").to(
        device, non_blocking=device.type == "cuda"
    )
