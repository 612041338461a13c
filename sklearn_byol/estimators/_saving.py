"""From an estimator to what is saved, and back: arrays, versions, a digest."""

import contextlib
import copy
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sklearn_byol._about import __version__
from sklearn_byol.estimators._packing import State, is_plain, packed, unpacked
from sklearn_byol.exceptions import VersionWarning, warn
from sklearn_byol.images._layout import Layout
from sklearn_byol.images._pixel_range import Fitted
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.training._device import seeded_torch

Arrays = dict[str, NDArray[Any]]


def digest_of(state: Any) -> str:
    """Return 32 hexadecimal digits that another state or value does not have.

    Names, numbers, strings, arrays and weights count, in dicts, sequences, dataclasses
    and parameters of estimators. Lists and tuples count the same, numbers of numpy as
    those of Python, and of other objects only the name of their type, so that a state
    which was saved and read is the same whoever wrote the file. It guards against
    damage, not against those who would change the digest too.
    """
    return hashlib.sha256(repr(_in_words(state)).encode()).hexdigest()[:32]


def _in_words(value: Any) -> Any:
    """Put a value into plain ones that read the same on each machine."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    if isinstance(value, np.ndarray):
        return "array", value.dtype.str, value.shape, _content(value)
    if isinstance(value, Mapping):
        keys = sorted(value, key=repr)
        return "dict", [(_in_words(key), _in_words(value[key])) for key in keys]
    if isinstance(value, list | tuple):
        return "list", [_in_words(part) for part in value]
    held = None if isinstance(value, type) else _held(value)
    return "object", _name_of(value), _in_words(held)


def _name_of(value: Any) -> str:
    """Return the name of a class or function, or of the class of another object."""
    if not isinstance(value, type) and hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    kind = value if isinstance(value, type) else type(value)
    # What cannot be imported is sent to processes without where it was.
    is_sent = kind.__module__ == "__main__" or "<locals>" in kind.__qualname__
    return kind.__name__ if is_sent else kind.__qualname__


def _content(array: NDArray[Any]) -> Any:
    """Return what an array holds: a digest, in C order whatever its own order is."""
    if array.dtype.hasobject:
        return _in_words(array.ravel().tolist())
    flat = np.ascontiguousarray(array).reshape(-1)
    return hashlib.sha256(flat.view(np.uint8).data).hexdigest()


def _held(value: Any) -> Any:
    """Return what an object holds, where that is known to stay the same."""
    match value:
        case Tensor():
            return _numbers_of(value)
        case nn.Module():
            return _tensors_of(value)
        case BaseEstimator():
            # Those that it was saved with: a later version may have more.
            saved = vars(value)
            return {k: v for k, v in value.get_params(deep=False).items() if k in saved}
        case np.random.RandomState():
            return value.get_state(legacy=True)
        case os.PathLike():
            return os.fspath(value)
    if dataclasses.is_dataclass(value):
        held = dataclasses.fields(value)
        return {part.name: getattr(value, part.name) for part in held}
    return None


def _numbers_of(tensor: Tensor) -> Any:
    """Return what a tensor holds, and of a placeholder what it stands for."""
    if tensor.is_meta:
        return str(tensor.dtype), tuple(tensor.shape), vars(tensor)
    if not is_plain(tensor):
        return None
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    as_bytes = flat.view(torch.uint8).numpy()  # numpy lacks some types
    return str(tensor.dtype), tuple(tensor.shape), as_bytes


def _tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Name what stands for the tensors of a packed module, or the weights of another.

    State dicts of a packed module may not be asked for, since users' hooks would be.
    """
    parameters = module.named_parameters(remove_duplicate=False)
    buffers = module.named_buffers(remove_duplicate=False)
    held: dict[str, Tensor] = dict(chain(parameters, buffers))
    is_packed = any(tensor.is_meta for tensor in held.values())
    return held if is_packed else dict(module.state_dict())


FORMAT = 3  # of what is saved; counted up when an older version could not read it


def versions_for(encoder: Any) -> dict[str, Any]:
    """Name the format and the libraries that decide what saved weights mean.

    Versions are without their local part, since weights move between builds of torch
    for different devices; of an encoder that is None none is named.
    """
    versions: dict[str, Any] = {"format": FORMAT, "sklearn_byol": __version__}
    if encoder is None:
        return versions
    versions["torch"] = torch.__version__.partition("+")[0]
    if isinstance(encoder, str) and encoder != "auto":
        library = "timm" if encoder.startswith("timm/") else "torchvision"
        # That it is missing is said where the encoder is built.
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library).partition("+")[0]
    return versions


def check_versions(name: str, saved: Any, here: dict[str, Any]) -> None:
    """Refuse a format that is not known, and warn of other versions."""
    if not isinstance(saved, dict) or not 1 <= saved.get("format", 0) <= FORMAT:
        raise ValueError(
            f"This {name} was saved by {_listed(saved)} in a format that sklearn_byol "
            f"{__version__} does not read. Load it with that version."
        )
    libraries = saved.keys() & here.keys() - {"format"}
    if any(saved[library] != here[library] for library in libraries):
        shared = {library: here[library] for library in saved if library in here}
        warn(
            f"This {name} was saved by {_listed(saved)} and is loaded by "
            f"{_listed(shared)}. It is taken as it is: compare what it makes of some "
            "images with what it made of them there. Silence this by filtering "
            "sklearn_byol.exceptions.VersionWarning, or save it again.",
            VersionWarning,
        )


def _listed(versions: Any) -> str:
    """Name libraries with their versions."""
    if not isinstance(versions, dict) or "sklearn_byol" not in versions:
        return "an unknown version of sklearn_byol"
    named = [f"{name} {text}" for name, text in versions.items() if name != "format"]
    return " with ".join([named[0], " and ".join(named[1:])] if named[1:] else named)


def build_encoder(specification: EncoderSpecification, seed: int) -> ImageEncoder:
    """Build an encoder with random weights that a seed decides, on the CPU."""
    with seeded_torch(seed):
        return specification.build()


def load_encoder(specification: EncoderSpecification, arrays: Arrays) -> ImageEncoder:
    """Build an encoder with these weights, on the CPU, in evaluation mode."""
    encoder = build_encoder(specification, seed=0)
    # Copied, since a memory map may be read-only.
    state = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            "The weights that were saved do not fit "
            f"encoder={specification.encoder!r} for images of shape "
            f"{specification.image_shape} as it is built here: {error} Load them with "
            "the versions that they were saved by."
        ) from error
    return encoder.eval()


def encoder_arrays(encoder: nn.Module, cached: Arrays | None = None) -> Arrays:
    """View the weights as arrays, the cached ones where they still are the weights.

    The same array objects at each call let joblib write them once for many workers.
    """
    return {
        name: cached[name]
        if cached and _shares_memory(cached[name], tensor)
        else tensor.detach().cpu().numpy()
        for name, tensor in encoder.state_dict().items()
    }


def _shares_memory(array: NDArray[Any], tensor: Tensor) -> bool:
    """Tell whether an array is a view of the tensor's memory."""
    return (
        tensor.device.type == "cpu"
        and array.shape == tuple(tensor.shape)
        and array.ctypes.data == tensor.data_ptr()
    )


def to_save(state: State) -> State:
    """Put arrays and plain values in place of the encoder and of private classes.

    A module of the user's own is saved as itself, on the CPU, since only the user knows
    how to build it, its tensors as arrays. What is saved carries versions and a digest
    of itself. Paths are saved as text: classes of paths are not read by other systems,
    and those of Python 3.13 not by older versions.
    """
    state, source = {name: _plain_path(value) for name, value in state.items()}, None
    if isinstance(state.get("encoder"), nn.Module):
        state["encoder"] = copy.deepcopy(state["encoder"]).cpu()
    if "_fitted" in state:
        state["_fitted"] = asdict(state["_fitted"])
    specification = state.pop("_specification", None)
    if "encoder_" in state:
        source, encoder = specification.encoder, state.pop("encoder_")
        state["_specification"] = dict(vars(specification))
        if isinstance(source, nn.Module):
            state["encoder_"] = copy.deepcopy(encoder).cpu()
            state["_specification"]["encoder"] = state["encoder_"]
            del state["_arrays"]
        else:
            state["_arrays"] = encoder_arrays(encoder, state["_arrays"])
    state = packed(state)
    state["_saved_by"] = versions_for(source)
    state["_digest"] = digest_of(state)
    return state


def _plain_path(value: Any) -> Any:
    """Put text in place of a path of this system."""
    return str(value) if isinstance(value, PurePath) else value


def that_was_saved(state: State, name: str) -> State:
    """Compare what was read with its digest, and build the encoder on the CPU."""
    state = dict(state)
    digest, saved_by = state.pop("_digest", None), state.pop("_saved_by", None)
    source = state.get("_specification", {}).get("encoder")
    check_versions(name, saved_by, versions_for(source))
    if digest != digest_of({**state, "_saved_by": saved_by}):
        raise ValueError(
            f"This {name} is not what was saved: its digest is another. The file "
            "is damaged, or was changed; take a copy of it that is whole."
        )
    state = unpacked(state)
    if "_fitted" in state:
        layout = Layout(**state["_fitted"]["layout"])
        state["_fitted"] = Fitted(**{**state["_fitted"], "layout": layout})
    if "_specification" in state:
        # What lacks these left images, and rows, as they were.
        older = {"input_size": None, "unit_length": False, "mirror": 0.0}
        specification = EncoderSpecification(**(older | state["_specification"]))
        state["_specification"] = specification
        built, read = state["_specification"].image_shape, state["_fitted"].layout.shape
        if tuple(built) != tuple(read):
            raise ValueError(
                f"The state of this {name} does not agree with itself: its encoder is "
                f"for images of shape {built}, and it reads images of shape {read}."
            )
    if "_arrays" in state:
        state["encoder_"] = load_encoder(state["_specification"], state["_arrays"])
    if "encoder_" in state:
        # Views of the encoder's own memory: what was read is not kept beside it.
        state["_arrays"] = encoder_arrays(state["encoder_"])
    return state
