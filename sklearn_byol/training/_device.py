"""Where a training computes: device, memory, random state, encoding images."""

import ctypes
import itertools
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_byol.exceptions import DeviceWarning, warn
from sklearn_byol.networks._encoders import is_depthwise, sees_single_pixels
from sklearn_byol.training._processes import local_rank

# What products are computed in, by name.
PRECISIONS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
TENSOR_CORES = (7, 0)  # compute capability of the first GPUs that have them


def resolve_device(name: str) -> torch.device:
    """Return the device of this name, or the best there is for "auto".

    "auto" is CUDA, then MPS, then the CPU. Where many processes were launched, "auto"
    and "cuda" are the GPU of this process's number on its machine, never MPS.
    """
    rank = local_rank()
    if name == "auto":
        has_mps = rank is None and torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
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


def device_or_best(name: str) -> torch.device:
    """Return the device of this name if it is there, else warn and return the best.

    What was trained on a GPU must be usable on a machine without one.
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
    name: str,
    device: torch.device,
    image_shape: tuple[int, int, int],
    encoder: nn.Module | None = None,
) -> torch.dtype:
    """Return the type that products of training are computed in.

    "auto" takes bfloat16 where the CPU or the GPU multiplies it faster than
    float32: CUDA devices that have it, and CPUs with AVX-512 BF16 or AMX, but for
    depthwise convolutions; and float16 on older CUDA devices with tensor cores. Images
    of fewer than 8 pixels stay in float32, and networks whose maps come down to a
    single pixel: bfloat16 gradients of these are not always numbers on CPUs.
    """
    is_small = min(image_shape[1:]) < 8
    if device.type == "cpu" and name in {"auto", "bfloat16"} and encoder is not None:
        is_small = is_small or sees_single_pixels(encoder, image_shape)
    if name == "bfloat16" and is_small and device.type == "cpu":
        raise ValueError(
            "precision='bfloat16' gives gradients that are no numbers on CPUs "
            "for images of fewer than 8 pixels a side, and where convolutions see maps "
            f"of a single pixel. Got images of {image_shape[1]}x{image_shape[2]}; pass "
            "precision='auto' or 'float32'."
        )
    if name == "float16" and device.type == "mps":
        raise ValueError(
            "precision='float16' is not for MPS, where older versions of torch cannot "
            "scale gradients. Pass precision='auto' or 'float32'."
        )
    if name != "auto":
        return PRECISIONS[name]
    is_slow = device.type == "cpu" and encoder is not None and is_depthwise(encoder)
    return torch.float32 if is_small or is_slow else _fastest(device)


def _fastest(device: torch.device) -> torch.dtype:
    """Return the type that a device multiplies fastest."""
    if device.type == "cuda":
        with torch.cuda.device(device):  # GPUs of one machine may differ
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return torch.bfloat16
            return torch.float16 if _has_tensor_cores(device) else torch.float32
    if device.type == "cpu":
        has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        if has.get("avx512_bf16") or has.get("amx_bf16"):
            return torch.bfloat16
    return torch.float32


def _has_tensor_cores(device: torch.device) -> bool:
    """Tell whether a GPU computes float16 fast, and right."""
    is_new = torch.cuda.get_device_capability(device) >= TENSOR_CORES
    # GeForce GTX 16 has their number without having them: its convolutions give NaN.
    return is_new and "GTX 16" not in torch.cuda.get_device_name(device)


def ready(module: nn.Module, device: torch.device) -> None:
    """Put a module on a device in evaluation mode, unless it is there already.

    To find out takes less time than to put it there anyway, which takes half as long as
    a forward pass of one small image.
    """
    place = device
    if device == torch.device("cuda"):  # tensors say which
        place = torch.device("cuda", torch.cuda.current_device())
    tensors = itertools.chain(module.parameters(), module.buffers())
    if any(tensor.device != place for tensor in tensors):
        module.to(device)
    if any(part.training for part in module.modules()):
        module.eval()


def _is_there(device: torch.device) -> bool:
    """Tell whether this machine has the device."""
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or torch.backends.mps.is_available()


CPU = torch.device("cpu")
# Torch's global random state is shared by all threads, and so is the one recording.
GLOBAL_STATE = threading.RLock()


@contextmanager
def seeded_torch(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch's global random state for a while, then put it back.

    Modules draw their first weights, and dropout its masks, from a state that all
    threads share, so only one thread at a time may be inside. The state of a GPU, if
    one is given, is kept as well.
    """
    is_gpu = device.type != "cpu"
    devices, kind = ([device], device.type) if is_gpu else ([], "cuda")
    with GLOBAL_STATE, torch.random.fork_rng(devices=devices, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
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
    now, then = global_state(device).get("device"), state.get("device")
    if now is None or then is None or len(now) != len(then):  # another kind of device
        return
    if device.type == "cuda":
        torch.cuda.set_rng_state(then, device)
    else:
        torch.get_device_module(device).set_rng_state(then)


def draws_globally(module: nn.Module) -> bool:
    """Tell whether a module's forward pass may draw from the global random state."""
    return any(
        re.search("drop|stochastic", type(part).__name__, re.IGNORECASE)
        or getattr(part, "dropout", None)
        for part in module.modules()
    )


@contextmanager
def memory_advice(advice: str) -> Iterator[None]:
    """Say what to do where the memory of a GPU does not suffice."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        advised = torch.OutOfMemoryError(f"{error} {advice}")
        for note in getattr(error, "__notes__", ()):
            advised.add_note(note)
        raise advised from error


def batches_advice(batch_size: int) -> AbstractContextManager[None]:
    """Say what to do where a GPU has no room to train on batches."""
    return memory_advice(
        f"The GPU has no room for batches of {batch_size} images: lower batch_size, "
        "take smaller images or a smaller encoder, or try "
        "precision='bfloat16' or 'float16'."
    )


# Parameters of mallopt(3), and what glibc's own adaptation ends in.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1
USUAL_TRIM, USUAL_MMAP = 64 * 2**20, 32 * 2**20


class KeptMemory:
    """Lets glibc keep freed memory for a while, then give it back.

    A training frees and takes tensors of the same sizes over and over. glibc returns
    large ones to the operating system each time, which then has to clear every page of
    the next one: a tenth of the time of a step at 32 and 64 pixels. Other libraries for
    memory, and other systems than Linux, are left alone. Trainings may overlap: memory
    is given back when the last one leaves.
    """

    def __init__(self) -> None:
        self.lock, self.n_inside = threading.Lock(), 0

    def __enter__(self) -> None:
        """Keep what is freed from now on."""
        with self.lock:
            self.n_inside += 1
            _set_thresholds(NEVER, NEVER)

    def __exit__(self, *error: object) -> None:
        """Give back what is free."""
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                _set_thresholds(USUAL_TRIM, USUAL_MMAP)


def _set_thresholds(trim: int, mmap: int) -> None:
    """Set from how many bytes on freed memory is given back."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if library is not None and hasattr(library, "gnu_get_libc_version"):
        library.mallopt(TRIM_THRESHOLD, trim)
        library.mallopt(MMAP_THRESHOLD, mmap)
        if trim != NEVER:
            library.malloc_trim(0)


KEPT_MEMORY = KeptMemory()


N_COMPARED = 32  # images by which a type is chosen
FAITHFUL = 1e-2  # of the length of a row
LOWER = {"cuda": (torch.float16,)}  # other types that are as fast as the fastest

ELSEWHERE = (
    "The GPU has no room to represent images: free some of its memory, take smaller "
    "images, or set device='cpu'."
)


def represent(
    encoder: nn.Module,
    batches: Iterable[tuple[NDArray[np.intp], Tensor]],
    shape: tuple[int, int],
    device: torch.device,
    precision: str = "float32",
) -> NDArray[np.float32]:
    """Return the representations of images, NaN for those that are in no batch.

    Batches are (which images these are, images (n, n_channels, height, width)); shape
    is (n_images, n_dims). The encoder is put on the device, in evaluation mode.
    """
    rows = np.full(shape, np.nan, dtype=np.float32)
    if precision not in {"auto", *PRECISIONS}:
        raise ValueError(
            f"transform_precision must be 'auto', {', '.join(map(repr, PRECISIONS))}. "
            f"Got {precision!r}."
        )
    dtype = PRECISIONS.get(precision)
    # To give memory back takes longer than a few images do.
    is_long = device.type == "cpu" and shape[0] >= N_COMPARED
    memory = KEPT_MEMORY if is_long else nullcontext()
    with memory_advice(ELSEWHERE):
        # Buffers that are moved in inference mode could not be trained with.
        ready(encoder, device)
    with torch.inference_mode(), memory_advice(ELSEWHERE), memory:
        for indices, batch in batches:
            images = batch.to(device, memory_format=torch.channels_last)
            if dtype is None:
                dtype = _faithful(encoder, images[:N_COMPARED])
            found = _rows(encoder, images, dtype)
            if dtype == torch.float16:
                _check_range(found, encoder, images)
            rows[indices] = found.cpu().numpy()
    return rows


def _check_range(rows: Tensor, encoder: nn.Module, images: Tensor) -> None:
    """Refuse numbers that the smaller range of float16 has made infinite."""
    if rows.isfinite().all():
        return
    exact = _rows(encoder, images, torch.float32)
    if (exact.isfinite() & ~rows.isfinite()).any():
        raise ValueError(
            "transform_precision='float16' makes representations infinite: numbers "
            "inside this encoder are beyond its range of 65,504. Use 'bfloat16' or "
            "'float32'."
        )


def _rows(encoder: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute representations by products of a type."""
    is_lower, kind = dtype != torch.float32, images.device.type
    with torch.autocast(kind, dtype, enabled=is_lower):
        rows: Tensor = encoder(images)
    return rows.float()


def _faithful(encoder: nn.Module, images: Tensor) -> torch.dtype:
    """Return the fastest type by which rows are those of float32, within a hundredth.

    Networks of many thin layers, as those for telephones are, need float32.
    """
    fastest = _fastest(images.device)
    if fastest == torch.float32:
        return fastest
    exact = _rows(encoder, images, torch.float32)
    for dtype in dict.fromkeys([fastest, *LOWER.get(images.device.type, ())]):
        far = (_rows(encoder, images, dtype) - exact).norm(dim=1)
        if bool((far <= FAITHFUL * exact.norm(dim=1)).all()):
            return dtype
    return torch.float32
