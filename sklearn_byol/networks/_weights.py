"""Weights of other trainings: read, matched by name and shape, and put in."""

import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import WeightsWarning, warn

Weights = dict[str, Tensor]

# Where checkpoints of libraries keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model", "teacher", "student")
N_SHOWN = 3
SILENCE = "Silence this by filtering sklearn_byol.exceptions.WeightsWarning."
COUNTED_OR_MEASURED = re.compile(r"num_batches_tracked|^normalize\.")  # never random


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
        "input_size": said.get("input_size", "auto"),
    }
    kinds: dict[str, Any] = {
        "keeps_stem": bool,
        "mean": list,
        "std": list,
        "input_size": int | None,
    }
    return {name: v for name, v in known.items() if isinstance(v, kinds[name])}


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
    inside = {name: whole[name] for name in INSIDE if _is_state(whole.get(name))}
    if len(inside) > 1:  # such as the networks of teacher and student
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


@dataclass(frozen=True)
class Match:
    """Which tensors of a file are which of an encoder."""

    weights: Weights  # by the names of the encoder
    missing: list[str]  # names of the encoder that begin at random
    unused: list[str]  # names of the file
    misshapen: list[str]  # what is said of tensors that agree in name and not in shape
    beyond: list[str]  # names of the file that go on where the encoder ends
    prefix: str = ""  # of the names of the file
    others: list[str] = field(default_factory=list)  # prefixes of networks that fit too

    @property
    def n_values(self) -> int:
        """Count the numbers that are taken over."""
        return sum(tensor.numel() for tensor in self.weights.values())

    def is_rival(self, other: "Match") -> bool:
        """Tell whether this is another network of the file that fits as well."""
        is_as_good = self.n_values == other.n_values > 0
        if not is_as_good or self.prefix == other.prefix:
            return False
        mine, theirs = self.weights, other.weights
        return mine.keys() == theirs.keys() and not all(
            tensor is theirs[name] or torch.equal(tensor, theirs[name])
            for name, tensor in mine.items()
        )

    def load(self, encoder: nn.Sequential, source: str) -> None:
        """Put the weights in, and warn of what is not matched."""
        n_taken = sum(tensor.ndim > 1 for tensor in self.weights.values())
        if not n_taken or len(self.misshapen) > n_taken:
            absent = [f"{name} is not there" for name in self.missing]
            raise ValueError(
                f"weights={source!r} does not fit the encoder: "
                f"{_some(self.misshapen or absent)}. The file has "
                f"{_some(self.unused)}. Choose the encoder that the weights were "
                "trained in."
            )
        strange = [name for name, tensor in self.weights.items() if _is_strange(tensor)]
        if strange:
            raise ValueError(
                f"weights={source!r} holds tensors without values, or values that are "
                f"infinite, not a number or complex: {_some(strange)}. Choose the "
                "plain state_dict() of a training that went well."
            )
        encoder.load_state_dict(self.weights, strict=False)
        if self.others:
            warn(
                f"weights={source!r} holds several networks that fit the encoder: "
                f"{_some([repr(name) for name in (self.prefix, *self.others)])} begin "
                f"their names. {self.prefix!r} is taken, the first; choose by "
                f"weights=({source!r}, {self.others[0]!r}). {SILENCE}",
                WeightsWarning,
            )
        if self.missing:
            n_random = sum(map(_is_random, encoder.state_dict()))
            warn(
                f"{len(self.missing)} of {n_random} tensors of the encoder are not in "
                f"weights={source!r} and begin at random: "
                f"{_some(self.misshapen or self.missing)}. Not used: "
                f"{_some(self.unused)}. {SILENCE}",
                WeightsWarning,
            )
        if self.beyond:
            warn(
                f"weights={source!r} is of a deeper network than the encoder, which "
                f"leaves out {_some(self.beyond)} and may make little sense of the "
                "rest. Choose the encoder that the weights were trained in. "
                f"{SILENCE}",
                WeightsWarning,
            )


def best_match(
    found: Weights, encoder: nn.Sequential, prefix: str | None = None
) -> Match:
    """Match by the prefix, and the way of naming layers, that takes over most.

    A prefix that is given is the only one that is tried.
    """
    # Libraries put a prefix in front of the names of a network ("module.", "backbone.",
    # "encoder.", "model." and chains of these). Where several fit as well, as those of
    # a target network do, the first in the file is taken.
    dots = ((name, dot.end()) for name in found for dot in re.finditer(r"\.", name))
    prefixes = dict.fromkeys(["", *(name[:end] for name, end in dots)])
    own = encoder.state_dict()
    matches = [
        _match(found, names, own, begins)
        for names in _ways_of_naming(encoder)
        for begins in (prefixes if prefix is None else [prefix])
    ]
    best = max(matches, key=lambda match: (match.n_values, len(match.misshapen)))
    others = [match for match in matches if match.is_rival(best)]
    names = [*dict.fromkeys(match.prefix for match in others)]
    return replace(best, others=names)


def _ways_of_naming(encoder: nn.Sequential) -> Iterator[dict[str, str]]:
    """Map names that a file may use to names of the encoder, in each way there is."""
    yield {name: name for name in encoder.state_dict()}
    for path, network in _networks_in(encoder):
        inner = {name: f"{path}.{name}" for name in network.state_dict()}
        yield inner
        own = {name: ours for name, ours in inner.items() if "." not in name}
        yield own | {  # as in nn.Sequential(*network.children())
            f"{number}.{name}": f"{path}.{child}.{name}"
            for number, (child, module) in enumerate(network.named_children())
            for name in module.state_dict()
        }


def _networks_in(encoder: nn.Sequential) -> Iterator[tuple[str, nn.Module]]:
    """Find the network, and level by level what holds most of it.

    A user's module may keep the network that a file is of among its parts.
    """
    path, network = "network", encoder.get_submodule("network")
    while True:
        yield path, network
        total = _n_values(network)
        held = {
            name: part
            for name, part in network.named_children()
            if 2 * _n_values(part) > total and [*part.children()]
        }
        if not held:
            return
        name, network = held.popitem()
        path = f"{path}.{name}"


def _n_values(module: nn.Module) -> int:
    """Count the numbers that a module holds."""
    return sum(tensor.numel() for tensor in module.state_dict().values())


def _match(found: Weights, after: dict[str, str], own: Weights, prefix: str) -> Match:
    """Match names of a file to those of the encoder's own; shapes must be equal."""
    weights, misshapen = {}, []
    names = {prefix + name: ours for name, ours in after.items()}
    used = {name: ours for name, ours in names.items() if name in found}
    for name, ours in used.items():
        tensor, shape = _for_channels(found[name], own[ours].shape), own[ours].shape
        if tensor.shape == shape:
            weights[ours] = tensor
        else:
            misshapen.append(
                f"{name} has the shape {tuple(tensor.shape)} in the file and "
                f"{tuple(shape)} in the encoder"
            )
    missing = [ours for ours in own if ours not in weights and _is_random(ours)]
    unused = [name for name in found if name not in used]
    beyond = [name for name in unused if _follows(name, used, found)]
    return Match(weights, missing, unused, misshapen, beyond, prefix)


def _follows(name: str, used: Mapping[str, str], found: Weights) -> bool:
    """Tell whether a matrix has the number after one that is used, and its shape."""
    ahead = (
        f"{name[: number.start()]}{int(number[0]) - 1}{name[number.end() :]}"
        for number in re.finditer(r"\d+(?=\.)", name)
    )
    return found[name].ndim > 1 and any(
        other in used and found[other].shape == found[name].shape for other in ahead
    )


def _for_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """Repeat what a first layer makes of three colours for other channels."""
    is_of_colours = weight.ndim == len(shape) == 4 and weight.shape[1] == 3
    # Gray images are left alone: they can go into all three.
    if not is_of_colours or shape[1] in {1, 3} or weight.shape[2:] != shape[2:]:
        return weight
    repeated = weight.repeat(1, -(-shape[1] // 3), 1, 1)[:, : shape[1]]
    return repeated * (3 / shape[1])


def _is_random(name: str) -> bool:
    """Tell whether a tensor begins at random where no weights are given."""
    return COUNTED_OR_MEASURED.search(name) is None


def _is_strange(tensor: Tensor) -> bool:
    """Tell what no encoder can compute with: sparse, quantized, complex, not finite."""
    is_dense = tensor.layout == torch.strided and not tensor.is_quantized
    if not is_dense or tensor.is_meta or tensor.is_complex():
        return True
    return not bool(tensor.isfinite().all())


def _some(names: list[str]) -> str:
    """Join the first names of a list."""
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return (", ".join(names[:N_SHOWN]) or "nothing else") + more
