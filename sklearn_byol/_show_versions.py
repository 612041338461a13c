"""What to know about a machine before one can help: versions, CPU, GPUs."""

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from sklearn_byol._about import __version__

DEPENDENCIES = (
    "filelock",
    "joblib",
    "matplotlib",
    "numpy",
    "pillow",
    "psutil",
    "scikit-learn",
    "skorch",
    "torch",
    "torchvision",
    "tqdm",
)
OPTIONAL = (
    "dask",
    "distributed",
    "imagecodecs",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "safetensors",
    "tifffile",
    "timm",
    "umap-learn",
)
USUAL_IMAGES = (3, 32, 32)  # for which it is asked what precision="auto" takes

Facts = dict[str, Callable[[], object]]


def show_versions() -> None:
    """Print what a report of a fault should say about the machine.

    That is the system, Python, the versions of what sklearn_byol needs and of what it
    uses where it is installed, what torch computes on, and what ``device="auto"`` and
    ``precision="auto"`` take here. What cannot be found out is no error: its line says
    why. The path of Python is printed too; leave it out of a report if it tells too
    much.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn, with its pools of threads.

    Examples
    --------
    >>> from sklearn_byol import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    System:
                 sklearn_byol: ...
                       python: 3...
    <BLANKLINE>
    Dependencies:
    ...
                        torch: 2...
    ...
    Optional:
    ...
    What torch computes on:
    ...
               device='auto': ...
            precision='auto': ...
    """
    sections: dict[str, Facts] = {
        "System": _system(),
        "Dependencies": {name: partial(_version_of, name) for name in DEPENDENCIES},
        "Optional": {name: partial(_version_of, name) for name in OPTIONAL},
        "What torch computes on": _torch(),
    }
    texts = [
        "\n".join([f"{title}:", *(_line(name, facts[name]) for name in facts)])
        for title, facts in sections.items()
    ]
    _print("\n\n".join(texts))


def _line(name: str, fact: Callable[[], object]) -> str:
    """Write a fact, or why it cannot be found out."""
    try:
        said = fact()
    except Exception as error:  # noqa: BLE001  whatever is broken, the rest is told
        said = f"unknown, {type(error).__name__}: {error}"
    return f"{name:>24}: {' '.join(str(said).split())}"


def _print(text: str) -> None:
    """Print a text, with escapes for what the output cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))  # noqa: T201


def _version_of(name: str) -> str:
    """Return the version that a package was installed with; it is not imported."""
    try:
        return str(version(name))
    except PackageNotFoundError:
        return "not installed"


def _system() -> Facts:
    """List what the library runs in."""
    return {
        "sklearn_byol": lambda: __version__,
        "python": lambda: sys.version,
        "executable": lambda: sys.executable,
        "machine": platform.platform,
        "processors": _processors,
    }


def _processors() -> str:
    """Count the CPUs, and those that this process may use."""
    import joblib  # noqa: PLC0415  imported where it is asked, so that it may be broken

    return f"{os.cpu_count()}, of which {joblib.cpu_count()} for this process"


def _torch() -> Facts:
    """List what torch was built for, what it has, and what "auto" makes of it."""
    return {
        "threads": _threads,
        "processor": _processor,
        "fast bfloat16 on it": _is_bfloat16_fast,
        "built for": _built_for,
        "CUDA": _cuda,
        "GPUs": _gpus,
        "MPS": _mps,
        "device='auto'": _device,
        "precision='auto'": _precision,
    }


def _threads() -> str:
    """Count the threads of torch, and say whether the environment limits them."""
    import torch  # noqa: PLC0415

    limit = os.environ.get("OMP_NUM_THREADS")
    return f"{torch.get_num_threads()}, OMP_NUM_THREADS is {limit or 'not set'}"


def _processor() -> str:
    """Name the CPU and the instructions that torch takes."""
    import torch  # noqa: PLC0415

    name = platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _is_bfloat16_fast() -> str:
    """Tell whether precision="auto" takes bfloat16 on the CPU."""
    return "yes" if _usual_precision("cpu") == "bfloat16" else "no"


def _built_for() -> str:
    """Name what torch was built for."""
    import torch  # noqa: PLC0415

    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    cuda = torch.version.cuda
    return f"CUDA {cuda}" if cuda else "CPUs, without CUDA"


def _cuda() -> str:
    """Tell whether a driver and a GPU are there, in torch's words if not."""
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        return "available"
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001  each cause has an error of its own
        return f"not available: {str(error).partition('. ')[0]}"
    return "not available, though a driver is"


def _gpus() -> str:
    """Name each GPU, its memory, and what precision="auto" takes on it."""
    import torch  # noqa: PLC0415

    told = []
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        memory = f"{gpu.total_memory / 2**30:.1f} GiB"
        precision = _usual_precision(f"cuda:{number}")
        told.append(f"{number}: {gpu.name}, {memory}, {precision}")
    return "; ".join(told) or "none"


def _mps() -> str:
    """Tell whether torch has Apple's GPUs."""
    import torch  # noqa: PLC0415

    return "available" if torch.backends.mps.is_available() else "not available"


def _device() -> str:
    """Name the device that "auto" takes."""
    from sklearn_byol.training._device import resolve_device  # noqa: PLC0415

    return str(resolve_device("auto"))


def _precision() -> str:
    """Name the type that "auto" takes on that device."""
    return f"{_usual_precision(_device())}, but for tiny images and some networks"


def _usual_precision(device: str) -> str:
    """Name the type that "auto" takes on a device for usual images and networks."""
    import torch  # noqa: PLC0415

    from sklearn_byol.training._device import resolve_precision  # noqa: PLC0415

    dtype = resolve_precision("auto", torch.device(device), USUAL_IMAGES)
    return str(dtype).removeprefix("torch.")
