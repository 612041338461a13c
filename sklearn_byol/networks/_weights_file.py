"""Files of weights: what is in them, and what they say of how it was trained."""

import json
import os
import re
import reprlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from sklearn_byol.networks._inputs import Statistics, check_statistics

Weights = dict[str, Tensor]

LARGEST_SHARE = 0.5  # of the mirror image
LARGEST_SIZE = 4096  # pixels of a side that a file is believed
# What a file may say of an encoder of ours: types and limits that are believed.
BELIEVED: dict[str, tuple[tuple[type, ...], float, float]] = {
    "keeps_stem": ((bool,), 0, 1),
    "input_size": ((int, type(None)), 1, LARGEST_SIZE),
    "hog": ((int,), 0, LARGEST_SIZE),
    "unit_variance": ((bool,), 0, 1),
    "unit_length": ((bool,), 0, 1),
    "mirror": ((float,), 0, LARGEST_SHARE),
}
# Where checkpoints of libraries keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model", "teacher", "student")


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds: tensors by name, and what it says of how they were trained."""

    weights: Weights
    keeps_stem: bool | None = None  # whether first layers are their authors'
    mean: object = None  # what it says of what goes in, which may be anything
    std: object = None
    input_size: int | str | None = "auto"  # that of `BYOLTransformer`
    hog: int | str = "auto"
    unit_variance: bool | str = "auto"
    unit_length: bool | str = "auto"
    mirror: float | str = "auto"

    def statistics(self, n_channels: int) -> Statistics | None:
        """Return mean and deviation, if they are there and of as many channels."""
        said = self.mean, self.std
        try:
            if all(isinstance(part, list | float | int) for part in said):
                return check_statistics(said, n_channels)
        except (ValueError, OverflowError):
            pass
        return None

    def said_of_statistics(self) -> str:
        """Quote what it says of mean and deviation, if anything."""
        said = {"mean": self.mean, "std": self.std}
        there = {name: value for name, value in said.items() if value is not None}
        return " and ".join(f"{name}={reprlib.repr(v)}" for name, v in there.items())


def existing_file(given: str | os.PathLike[str]) -> Path:
    """Return the path of weights, if there is a file."""
    path = Path(given).expanduser()
    if not os.path.isfile(path):  # noqa: PTH113  Path's raises for long names
        raise ValueError(
            f"weights={os.fspath(given)!r} is no file. Pass the path of a state dict, "
            "or 'pretrained'."
        )
    return path


def read_weights(given: str | os.PathLike[str], prefix: str = "") -> WeightsFile:
    """Read the weights in a file whose names begin with a prefix."""
    path = existing_file(given)
    if path.suffix == ".safetensors":
        file = _read_safetensors(path)
    else:
        file = WeightsFile(_read_state_dict(path))
    weights = {name: w for name, w in file.weights.items() if name.startswith(prefix)}
    if not file.weights:
        raise ValueError(f"weights={os.fspath(given)!r} holds no tensors.")
    if not weights:
        raise ValueError(
            f"No name in weights={os.fspath(given)!r} begins with {prefix!r}. The "
            f"prefixes in it are {some(_prefixes(file.weights) or ['none'], 6)}."
        )
    return replace(file, weights=weights)


def _prefixes(names: Iterable[str]) -> list[str]:
    """List what names begin with, down to the level where they differ."""
    prefixes: list[str] = []
    parts = [name.split(".")[:-1] for name in names]
    for depth in range(1, max(map(len, parts)) + 1):
        level = [".".join([*p[:depth], ""]) for p in parts if len(p) >= depth]
        prefixes += dict.fromkeys(level)
        if len({*level}) > 1:
            break
    return [*map(repr, prefixes)]


def some(names: list[str], n_shown: int = 3) -> str:
    """Join the first names of a list."""
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return (", ".join(names[:n_shown]) or "nothing else") + more


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
    """Read what metadata say of an encoder: mean and deviation, by two names, and more.

    They are JSON, by themselves or in a configuration of timm's. Of mean and deviation
    other text is kept too, for a warning.
    """
    said: dict[str, Any] = {}
    for name, text in metadata.items():
        try:
            said[name] = json.loads(text)
        except (ValueError, RecursionError):
            said[name] = text
    config = said.get("pretrained_cfg")
    said = (config if isinstance(config, dict) else {}) | said
    known = {
        "mean": said.get("mean", said.get("image_mean")),
        "std": said.get("std", said.get("image_std")),
    }
    if "unit_variance" in said:  # of a file of ours, which may be older than these
        said = {"unit_length": False, "mirror": 0.0} | said
    return known | {k: said[k] for k in BELIEVED if k in said and _believed(k, said[k])}


def _believed(name: str, value: Any) -> bool:
    """Tell whether a value is of the type and within the limits of its name."""
    types, least, most = BELIEVED[name]
    return type(value) in types and (value is None or least <= value <= most)


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
    whole = _of_training(content) if isinstance(content, Mapping) else {}
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


def _of_training(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Take the networks of a training out of a file of `checkpoint`, if it is one."""
    match content:
        case {"about": dict(), "state": {"network": dict(network)}}:
            pass
        case _:
            return content
    # That of "auto" is kept by the numbers of its parts; a size may come before them.
    first = next((i for i in (0, 1) if f"encoder.{i}.mean" in network), None)
    if first is None:
        return network
    for number, part in enumerate(("normalize", "network"), first):
        numbered = re.compile(rf"^(encoder|target\.0)\.{number}\.")
        named = rf"\1.{part}."
        network = {numbered.sub(named, str(n)): w for n, w in network.items()}
    return network


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
