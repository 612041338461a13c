"""Weights of other trainings: read, matched by name and shape, and put in."""

import logging
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import WeightsWarning, warn

__all__ = ["Match", "best_match", "load_match", "read_stem", "read_weights"]

LOG = logging.getLogger("sklearn_byol")

Weights = dict[str, Tensor]

# Where checkpoints of libraries keep the weights among other things.
INSIDE = ("state_dict", "model_state_dict", "model", "teacher", "student")
N_SHOWN = 3
COUNTED_OR_MEASURED = re.compile(r"num_batches_tracked|^normalize\.")  # never random


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read tensors by name from a file of torch or of safetensors.

    Parameters
    ----------
    path : path
        A file that `torch.save` has written, with tensors and plain values only, or one
        that ends in .safetensors. Nothing else is unpickled.

    Returns
    -------
    dict of str to Tensor
        All tensors that are found, on the CPU.

    Raises
    ------
    ValueError
        If there is no such file, or it is not what is described.
    ImportError
        If safetensors is needed and not installed.
    """
    given, path = os.fspath(path), Path(path).expanduser()
    if not os.path.isfile(path):  # noqa: PTH113  Path's raises for long names
        raise ValueError(
            f"weights={given!r} is no file. Pass the path of a state dict, or "
            "'pretrained'."
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    _refuse_packed(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"weights={str(path)!r} cannot be read as a state dict: {_first(error)} "
            "Only tensors and plain values are read, since anything else could run "
            "code: load the file where you trust it, and save its state_dict() alone."
        ) from error
    return _tensors(content, path)


def read_stem(path: str | os.PathLike[str]) -> bool | None:
    """Read whether first layers were kept, from a file of `to_safetensors`.

    Parameters
    ----------
    path : path
        A file that `read_weights` has read.

    Returns
    -------
    bool or None
        None where the file does not say.
    """
    if Path(path).suffix != ".safetensors":
        return None
    from safetensors import safe_open  # noqa: PLC0415  optional

    with safe_open(Path(path).expanduser(), "pt") as file:
        return {"true": True, "false": False}.get(
            (file.metadata() or {}).get("keeps_stem", "")
        )


def _refuse_packed(path: Path) -> None:
    """Refuse compressed archives: torch writes none, and small ones may hold terabytes.

    Raises
    ------
    ValueError
        If the file is one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # torch says what it is
    n_bytes = sum(part.file_size for part in parts)
    is_packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if is_packed or n_bytes > path.stat().st_size:
        raise ValueError(
            f"weights={str(path)!r} cannot be read as a state dict: it is a compressed "
            f"archive of {n_bytes} bytes, as torch.save does not write. Unpack it, or "
            "save the state_dict() again."
        )


def _first(error: Exception) -> str:
    """Take the first sentence of a message of torch's, without what colours it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    first = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{first or type(error).__name__}."


def _read_safetensors(path: Path) -> Weights:
    """Read a file of safetensors."""
    try:
        from safetensors.torch import load_file  # noqa: PLC0415  optional
    except ImportError as error:
        raise ImportError(
            f"weights={str(path)!r} needs safetensors. Install it: pip install "
            "'sklearn-byol[safetensors]'"
        ) from error
    try:
        return dict(load_file(path))
    except Exception as error:
        raise ValueError(
            f"weights={str(path)!r} is damaged, or no file of safetensors: {error}."
        ) from error


def _tensors(content: Any, path: Path) -> Weights:
    """Find the tensors in what a file holds."""
    for name in INSIDE:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    found = {}
    if isinstance(content, Mapping):
        found = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not found:
        raise ValueError(
            f"weights={str(path)!r} holds no state dict: a dict of names and tensors, "
            f"by itself or as {', '.join(map(repr, INSIDE[:3]))} of a checkpoint."
        )
    strange = [name for name, tensor in found.items() if not _is_plain(tensor)]
    if strange:
        raise ValueError(
            f"weights={str(path)!r} holds tensors that are sparse, quantized or "
            f"without values: {_some(strange)}. Save the state_dict() of a network "
            "of plain floats."
        )
    return found


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor has a number in memory for each of its values."""
    is_dense = tensor.layout == torch.strided and not tensor.is_quantized
    return is_dense and not tensor.is_meta


@dataclass(frozen=True)
class Match:
    """Which tensors of a file are which of an encoder.

    Attributes
    ----------
    weights : dict of str to Tensor
        By the names of the encoder.
    missing : list of str
        Names of the encoder that are not in the file.
    unused : list of str
        Names of the file that are not in the encoder.
    misshapen : list of str
        Descriptions of tensors whose names agree and whose shapes do not.
    beyond : list of str
        Those of `unused` that go on where the encoder ends, as a deeper network does.
    """

    weights: Weights
    missing: list[str]
    unused: list[str]
    misshapen: list[str]
    beyond: list[str]

    @property
    def n_values(self) -> int:
        """Count the numbers that are taken over."""
        return sum(tensor.numel() for tensor in self.weights.values())


def best_match(found: Weights, encoder: nn.Sequential) -> Match:
    """Match by the prefix, and the way of naming layers, that fits most.

    Libraries put a prefix in front of the names of a network ("module.", "backbone.",
    "encoder.", "model." and chains of these), and some name its layers by their number,
    as in `nn.Sequential(*network.children())`. Where several fit as well, as those of a
    target network do, the first in the file is taken.

    Parameters
    ----------
    found : dict of str to Tensor
        What a file holds.
    encoder : nn.Sequential
        What `build_encoder` returns; tensors may be on the meta device.

    Returns
    -------
    Match
        The one that takes over most numbers, and else whose names agree most.
    """
    shapes = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    first = next(
        (
            f"{name}.weight"
            for name, module in encoder.named_modules()
            if isinstance(module, nn.Conv2d)
        ),
        "",
    )
    matches = [
        _match(found, prefix, names, shapes, first)
        for names in _ways_of_naming(encoder)
        for prefix in _prefixes(found)
    ]
    return max(matches, key=lambda match: (match.n_values, len(match.misshapen)))


def _prefixes(found: Weights) -> list[str]:
    """List all that may stand in front of the names, from nothing on."""
    prefixes = {"": None}
    for name in found:
        parts = name.split(".")
        for n in range(1, len(parts)):
            prefixes[".".join(parts[:n]) + "."] = None
    return list(prefixes)


def _ways_of_naming(encoder: nn.Sequential) -> list[dict[str, str]]:
    """Map names that a file may use to names of the encoder."""
    names = [name for name in encoder.state_dict() if not name.startswith("readout.")]
    inner = [name for name in names if name.startswith("network.")]
    network = encoder.get_submodule("network")
    numbers = {child: str(n) for n, (child, _) in enumerate(network.named_children())}

    def numbered(name: str) -> str:
        first, _, rest = name.removeprefix("network.").partition(".")
        return f"{numbers.get(first, first)}.{rest}"

    return [
        {name: name for name in names},
        {name.removeprefix("network."): name for name in inner},
        {numbered(name): name for name in inner},
    ]


def _match(
    found: Weights,
    prefix: str,
    names: dict[str, str],
    shapes: dict[str, torch.Size],
    first: str,
) -> Match:
    """Match names behind a prefix; shapes must be equal."""
    weights, misshapen = {}, []
    used: set[str] = set()
    for name, ours in names.items():
        tensor = found.get(prefix + name)
        if tensor is None:
            continue
        used.add(prefix + name)
        if ours == first:
            tensor = _for_channels(tensor, shapes[ours])
        if tensor.shape == shapes[ours]:
            weights[ours] = tensor
        else:
            misshapen.append(
                f"{prefix + name} has the shape {tuple(tensor.shape)} in the file and "
                f"{tuple(shapes[ours])} in the encoder"
            )
    missing = [name for name in names.values() if name not in weights]
    unused = [name for name in found if name not in used]
    beyond = [name for name in unused if _follows(name, used, found)]
    return Match(weights, missing, unused, misshapen, beyond)


def _follows(name: str, used: set[str], found: Weights) -> bool:
    """Tell whether a matrix has the number after one that is used, and its shape."""
    if found[name].ndim < 2:
        return False
    ahead = (
        f"{name[: number.start()]}{int(number[0]) - 1}{name[number.end() :]}"
        for number in re.finditer(r"\d+(?=\.)", name)
    )
    return any(
        other in used and found[other].shape == found[name].shape for other in ahead
    )


def _for_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """Repeat what a first layer makes of three colours for other numbers of channels.

    A single channel is left to the caller: gray images can go into all three.
    """
    n_inputs = shape[1]
    is_colour = weight.ndim == 4 and weight.shape[1] == 3
    if not is_colour or n_inputs in {1, 3} or weight.shape[2:] != shape[2:]:
        return weight
    repeated = weight.repeat(1, -(-n_inputs // 3), 1, 1)[:, :n_inputs]
    return repeated * (3 / n_inputs)


def load_match(encoder: nn.Sequential, match: Match, source: str) -> None:
    """Put matched weights in, and say what was not matched.

    Parameters
    ----------
    encoder : nn.Sequential
        What `build_encoder` returns; changed in place.
    match : Match
        What to put in.
    source : str
        Where the weights come from, for messages.

    Raises
    ------
    ValueError
        If no weight tensor was matched, or more have another shape than were, or what
        was matched is no number.

    Warns
    -----
    WeightsWarning
        If parts of the encoder keep their random weights, or layers of the file follow
        those that were matched.
    """
    missing, taken = (
        [name for name in names if not COUNTED_OR_MEASURED.search(name)]
        for names in (match.missing, match.weights)
    )
    n_taken = sum(tensor.ndim > 1 for tensor in match.weights.values())
    if not n_taken or len(match.misshapen) > n_taken:
        reasons = match.misshapen or [f"{name} is not there" for name in missing]
        raise ValueError(
            f"weights={source!r} does not fit the encoder: "
            f"{_some(reasons)}. The file has {_some(match.unused)}. Choose the encoder "
            "that the weights were trained in."
        )
    strange = [name for name, tensor in match.weights.items() if _is_strange(tensor)]
    if strange:
        raise ValueError(
            f"weights={source!r} holds values that are infinite, not a number or "
            f"complex: {_some(strange)}. Choose a file of a training that went well."
        )
    encoder.load_state_dict(match.weights, strict=False)
    if missing:
        warn(
            f"{len(missing)} of {len(missing) + len(taken)} tensors of the "
            f"encoder are not in weights={source!r} and begin at random: "
            f"{_some(match.misshapen or missing)}. Not used: {_some(match.unused)}. "
            "Silence this by filtering sklearn_byol.exceptions.WeightsWarning.",
            WeightsWarning,
        )
    if match.beyond:
        warn(
            f"weights={source!r} is of a deeper network than the encoder, which "
            f"leaves out {_some(match.beyond)} and may make little sense of the rest. "
            "Choose the encoder that the weights were trained in. Silence this by "
            "filtering sklearn_byol.exceptions.WeightsWarning.",
            WeightsWarning,
        )
    if match.unused:
        LOG.info("Not used of weights=%r: %s", source, ", ".join(match.unused))


def _is_strange(tensor: Tensor) -> bool:
    """Tell values that no encoder can compute with."""
    return tensor.is_complex() or not bool(tensor.isfinite().all())


def _some(names: list[str]) -> str:
    """Join the first names of a list."""
    more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
    return (", ".join(names[:N_SHOWN]) or "nothing else") + more
