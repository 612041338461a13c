"""From device="auto" and precision="auto" to what this machine has."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sklearn_byol._warn import warn
from sklearn_byol.exceptions import DeviceWarning
from sklearn_byol.training._launch import local_rank

__all__ = ["device_or_best", "ready", "resolve_device", "resolve_precision"]


def resolve_device(name: str) -> torch.device:
    """Return the device of this name, or the best there is for "auto".

    Parameters
    ----------
    name : str
        "auto" (CUDA, then MPS, then the CPU) or a torch device such as "cuda:1". Where
        many processes were launched, "auto" and "cuda" are the GPU of this process's
        number on its machine, and MPS is not taken.

    Returns
    -------
    torch.device
        A device that this machine has.

    Raises
    ------
    ValueError
        If the name is none of torch's or the device is not there.
    """
    rank = local_rank()
    if name == "auto":
        name = _best(is_shared=rank is not None)
        if rank is None:
            return torch.device(name)
    if name == "cuda" and rank is not None:
        name = f"cuda:{rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(
            "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered one such as "
            f"'cuda:1'. Got {name!r}."
        )
    if not _is_there(device):
        raise ValueError(
            f"device={name!r} is not there: torch sees {torch.cuda.device_count()} "
            f"CUDA devices and {int(torch.backends.mps.is_available())} MPS devices. "
            "Pass device='auto' to take what there is."
        )
    return device


def _best(*, is_shared: bool) -> str:
    """Name the best kind of device; processes cannot share a training on MPS."""
    if torch.cuda.is_available():
        return "cuda"
    has_mps = torch.backends.mps.is_available() and not is_shared
    return "mps" if has_mps else "cpu"


def device_or_best(name: str) -> torch.device:
    """Return the device of this name if it is there, else warn and return the best.

    What was trained on a GPU must be usable on a machine without one.

    Parameters
    ----------
    name : str
        As in `resolve_device`.

    Returns
    -------
    torch.device
        A device that this machine has.

    Warns
    -----
    DeviceWarning
        If it is another than the one asked for.
    """
    try:
        return resolve_device(name)
    except ValueError as error:
        best = resolve_device("auto")
        warn(
            f"{error} This computes on {str(best)!r}; silence it by "
            f"set_params(device='auto').",
            DeviceWarning,
        )
        return best


def resolve_precision(
    name: str, device: torch.device, image_shape: tuple[int, int, int]
) -> torch.dtype:
    """Return the type that products of training are computed in.

    "auto" takes bfloat16 where the processor or the GPU multiplies it faster than
    float32: CUDA devices that have it, and processors with AVX-512 BF16 or AMX. Images
    of fewer than 8 pixels stay in float32, since bfloat16 gradients of maps of a single
    pixel are not always numbers on processors.

    Parameters
    ----------
    name : str
        "auto", "float32" or "bfloat16".
    device : torch.device
        Where training runs.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.

    Returns
    -------
    torch.dtype
        torch.float32 or torch.bfloat16.

    Raises
    ------
    ValueError
        If bfloat16 is asked for where it is not reliable.
    """
    is_small = min(image_shape[1:]) < 8
    if name == "bfloat16" and is_small and device.type == "cpu":
        raise ValueError(
            "precision='bfloat16' gives gradients that are no numbers on processors "
            f"for images of fewer than 8 pixels a side. Got {image_shape[1]}x"
            f"{image_shape[2]}; pass precision='auto' or 'float32'."
        )
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    is_fast = False
    if is_small:
        return torch.float32
    if device.type == "cuda":
        with torch.cuda.device(device):  # GPUs of one machine may differ
            is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        is_fast = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if is_fast else torch.float32


def ready(module: nn.Module, device: torch.device) -> nn.Module:
    """Put a module on a device in evaluation mode, unless it is there already.

    To find out takes less time than to put it there anyway, which takes half as long as
    a forward pass of one small image.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    device : torch.device
        Where it computes next.

    Returns
    -------
    nn.Module
        The module.
    """
    place = _numbered(device)
    if any(tensor.device != place for tensor in _tensors(module)):
        module.to(device)
    if any(part.training for part in module.modules()):
        module.eval()
    return module


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Go through all parameters and buffers."""
    yield from module.parameters()
    yield from module.buffers()


def _numbered(device: torch.device) -> torch.device:
    """Return "cuda" as the numbered device that tensors say they are on."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _is_there(device: torch.device) -> bool:
    """Tell whether this machine has the device."""
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or torch.backends.mps.is_available()
