"""What a figure was measured on, and how time is taken."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version

import torch


def describe(device, *packages):
    """Return processor, device and versions, for the head of a benchmark's figures."""
    cuda = torch.device(device).type == "cuda"
    return {
        "processor": platform.processor() or platform.machine(),
        "has_bfloat16": torch.cpu._is_avx512_bf16_supported(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else str(device),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "torchvision", *packages)},
    }


def clock():
    """Return seconds: with one thread those of the processor.

    They do not depend on what else the machine does meanwhile.
    """
    is_one = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if is_one else time.perf_counter()


def _version(package):
    """Return the version of a package, or that there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed, not run"
