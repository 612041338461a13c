"""Keeping torch's global random state as it was found."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["draws_globally", "global_state", "seeded_torch", "set_global_state"]

_LOCK = threading.RLock()


@contextmanager
def seeded_torch(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global random state for a while, then put it back.

    Modules draw their first weights, and dropout its masks, from a state that all
    threads share, so only one thread at a time may be inside.

    Parameters
    ----------
    seed : int
        Seed inside the context.
    device : torch.device, default=None
        A GPU whose state is kept as well.
    """
    is_gpu = device is not None and device.type != "cpu"
    devices = [device] if is_gpu else []
    kind = device.type if device is not None and is_gpu else "cuda"
    with _LOCK, torch.random.fork_rng(devices=devices, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if device is not None and device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif is_gpu:
            torch.get_device_module(device).manual_seed(seed)
        yield


def global_state(device: torch.device) -> dict[str, Tensor]:
    """Return torch's global random state, of the CPU and of a GPU."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["device"] = torch.cuda.get_rng_state(device)
    elif device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state()
    return state


def set_global_state(device: torch.device, state: dict[str, Tensor]) -> None:
    """Go back to what `global_state` has returned; on another device, in part."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "device" in state:
        torch.cuda.set_rng_state(state["device"], device)
    elif device.type != "cpu" and "device" in state:
        torch.get_device_module(device).set_rng_state(state["device"])


def draws_globally(module: nn.Module) -> bool:
    """Tell whether a module's forward pass may draw from the global random state."""
    return any(
        "drop" in type(part).__name__.lower()
        or "stochastic" in type(part).__name__.lower()
        or getattr(part, "dropout", None)
        for part in module.modules()
    )
