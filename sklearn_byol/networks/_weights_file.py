"""Files of weights: what is in them, and what they say of how it was trained."""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

Weights = dict[str, Tensor]

LARGEST_SIZE = 4096  # pixels of a side that a file is believed
# Where checkpoints of libraries keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model", "teacher", "student")


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds: tensors by name, and what it says of how they were trained."""

    weights: Weights
    keeps_stem: bool | None = None  # whether first layers are their authors'
    mean: Sequence[float] | None = None  # of what goes in, in [0, 1]
    std: Sequence[float] | None = None
    input_size: int | str | None = "auto"  # that of `BYOLTransformer`


def read_weights(given: str | os.PathLike[str]) -> WeightsFile:
    """Read the weights in a file."""
    path = Path(given).expanduser()
    if not os.path.isfile(path):  # noqa: PTH113  Path's raises for long names
        raise ValueError(
            f"weights={os.fspath(given)!r} is no file. Pass the path of a state dict, "
            "or 'pretrained'."
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return WeightsFile(_read_state_dict(path))


def _read_safetensors(path: Path) -> WeightsFile:
    """Read a file of safetensors, perhaps one of `to_safetensors`."""
    try:
        from safetensors import safe_open  # noqa: PLC0415  optional
    except ImportError as error:
        raise ImportError(
            f"weights={str(path)!r} needs safetensors. Install it: pip install "
            "'sklearn-byol[safetensors]'"
        ) from error
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except Exception as error:
        raise ValueError(
            f"weights={str(path)!r} is damaged, or no file of safetensors: {error}."
        ) from error
    return WeightsFile(found, **_said_in(metadata))


def _said_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read what metadata say of the input: mean and deviation, by two names, and size.

    They are JSON, by themselves or in a configuration of timm's.
    """
    said: dict[str, Any] = {}
    for name, text in metadata.items():
        try:
            said[name] = json.loads(text)
        except ValueError:
            continue
    config = said.get("pretrained_cfg")
    said = (config if isinstance(config, dict) else {}) | said
    known = {
        "keeps_stem": said.get("keeps_stem"),
        "mean": said.get("mean", said.get("image_mean")),
        "std": said.get("std", said.get("image_std")),
    }
    kinds = {"keeps_stem": bool, "mean": list, "std": list}
    known = {name: v for name, v in known.items() if isinstance(v, kinds[name])}
    size = said.get("input_size", "auto")
    if size is None or (type(size) is int and 0 < size <= LARGEST_SIZE):
        known["input_size"] = size
    return known


def _read_state_dict(path: Path) -> Weights:
    """Read a file of torch.save; nothing but tensors and plain values is unpickled."""
    _refuse_packed(path)
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ValueError(
            f"weights={str(path)!r} cannot be read as a state dict: "
            f"{reason or type(error).__name__}. Only tensors and plain values are "
            "read, since anything else could run code: load the file where you trust "
            "it, and save its state_dict() alone."
        ) from error
    whole = content if isinstance(content, Mapping) else {}
    names = [name for name in INSIDE if name in whole]
    names += [name for name in whole if name not in names]
    inside = {str(name): whole[name] for name in names if _is_state(whole[name])}
    if len(inside) > 1:  # such as teacher and student, or a network and its average
        parts = {f"{name}.": part for name, part in inside.items()}
    else:
        parts = {"": next(iter(inside.values()), whole)}
    found = {
        f"{prefix}{name}": value
        for prefix, part in parts.items()
        for name, value in part.items()
        if isinstance(value, Tensor)
    }
    if not found:
        raise ValueError(
            f"weights={str(path)!r} holds no state dict: a dict of names and tensors, "
            f"by itself or as {', '.join(map(repr, INSIDE[:3]))} of a checkpoint."
        )
    return found


def _is_state(content: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether a part of a checkpoint holds weights."""
    return isinstance(content, Mapping) and any(
        isinstance(value, Tensor) for value in content.values()
    )


def _refuse_packed(path: Path) -> None:
    """Refuse archives that grow when read, to terabytes at worst; torch's do not."""
    try:
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # torch says what it is
    if n_bytes > path.stat().st_size:
        raise ValueError(
            f"weights={str(path)!r} cannot be read as a state dict: it is a compressed "
            f"archive of {n_bytes} bytes, as torch.save does not write. Unpack it, or "
            "save the state_dict() again."
        )
