"""Weights of other trainings: read, matched by name and shape, and put in."""

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import WeightsWarning, warn

Weights = dict[str, Tensor]

# Where checkpoints of libraries keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model", "teacher", "student")
N_SHOWN = 3
SILENCE = "Silence this by filtering sklearn_byol.exceptions.WeightsWarning."
COUNTED_OR_MEASURED = re.compile(r"num_batches_tracked|^normalize\.")  # never random


def read_weights(given: str | os.PathLike[str]) -> tuple[Weights, bool | None]:
    """Read tensors by name; also whether the first layers were kept, if a file says."""
    path = Path(given).expanduser()
    if not os.path.isfile(path):  # noqa: PTH113  Path's raises for long names
        raise ValueError(
            f"weights={os.fspath(given)!r} is no file. Pass the path of a state dict, "
            "or 'pretrained'."
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_state_dict(path), None


def _read_safetensors(path: Path) -> tuple[Weights, bool | None]:
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
            said = (file.metadata() or {}).get("keeps_stem")
    except Exception as error:
        raise ValueError(
            f"weights={str(path)!r} is damaged, or no file of safetensors: {error}."
        ) from error
    return found, None if said is None else said == "true"


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
    inside = (whole.get(name) for name in INSIDE)
    state = next((one for one in inside if isinstance(one, Mapping)), whole)
    found = {str(k): v for k, v in state.items() if isinstance(v, Tensor)}
    if not found:
        raise ValueError(
            f"weights={str(path)!r} holds no state dict: a dict of names and tensors, "
            f"by itself or as {', '.join(map(repr, INSIDE[:3]))} of a checkpoint."
        )
    return found


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

    @property
    def n_values(self) -> int:
        """Count the numbers that are taken over."""
        return sum(tensor.numel() for tensor in self.weights.values())

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


def best_match(found: Weights, encoder: nn.Sequential) -> Match:
    """Match by the prefix, and the way of naming layers, that takes over most."""
    # Libraries put a prefix in front of the names of a network ("module.", "backbone.",
    # "encoder.", "model." and chains of these). Where several fit as well, as those of
    # a target network do, the first in the file is taken.
    dots = ((name, dot.end()) for name in found for dot in re.finditer(r"\.", name))
    prefixes = dict.fromkeys(["", *(name[:end] for name, end in dots)])
    own = encoder.state_dict()
    matches = [
        _match(found, {prefix + name: ours for name, ours in names.items()}, own)
        for names in _ways_of_naming(encoder)
        for prefix in prefixes
    ]
    return max(matches, key=lambda match: (match.n_values, len(match.misshapen)))


def _ways_of_naming(encoder: nn.Sequential) -> list[dict[str, str]]:
    """Map names that a file may use to names of the encoder."""
    whole = {name: name for name in encoder.state_dict()}
    network = encoder.get_submodule("network")
    inner = {name: f"network.{name}" for name in network.state_dict()}
    own = {name: ours for name, ours in inner.items() if "." not in name}
    numbered = own | {  # as in nn.Sequential(*network.children())
        f"{number}.{name}": f"network.{child}.{name}"
        for number, (child, module) in enumerate(network.named_children())
        for name in module.state_dict()
    }
    return [whole, inner, numbered]


def _match(found: Weights, names: dict[str, str], own: Weights) -> Match:
    """Match names of a file to those of the encoder's own; shapes must be equal."""
    weights, misshapen = {}, []
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
    return Match(weights, missing, unused, misshapen, beyond)


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
