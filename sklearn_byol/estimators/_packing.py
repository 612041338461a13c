"""Tensors as arrays: what is saved is the same bytes each time it is saved.

Torch writes addresses of memory beside the numbers of a tensor, so that two pickles of
one module differ, and nothing that compares them, such as `Pipeline(memory=...)`, finds
the second one again. Here an empty tensor stands in the place of each.
"""

import copy
import os
import pickle
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.parameter import is_lazy

from sklearn_byol._about import HasPage

State = dict[str, Any]

# What holds no tensors, or packs them by itself.
WHOLE = np.ndarray | type | FunctionType | BuiltinFunctionType | HasPage


def packed(state: State) -> State:
    """Put placeholders in place of tensors, and what the tensors hold beside them.

    What cannot be pickled stays as it is, since it may be copied all the same.
    """
    tensors: dict[int, Tensor | Generator] = {}
    memo: dict[int, Any] = {}  # by id, what is to be in the place of what
    skeletons: State = {}
    try:
        for name, value in state.items():
            found = _found_in(value)
            if found.tensors:
                tensors |= found.tensors
                memo |= found.whole
                skeletons[name] = value
        records = [_record(number, t) for number, t in enumerate(tensors.values())]
        memo |= {k: r["placeholder"] for k, r in zip(tensors, records, strict=True)}
        skeletons = copy.deepcopy(skeletons, memo)
    except Exception:  # noqa: BLE001  of users' own code
        return state
    if not skeletons:
        return state
    return state | skeletons | {"_tensors": {"held_by": [*skeletons], "each": records}}


def unpacked(state: State) -> State:
    """Put tensors in place of the placeholders that stand for them."""
    if "_tensors" not in state:
        return state
    tensors = state["_tensors"]
    memo = {id(record["placeholder"]): _value_of(record) for record in tensors["each"]}
    skeletons = {name: state[name] for name in tensors["held_by"]}
    others = {name: value for name, value in state.items() if name != "_tensors"}
    return others | copy.deepcopy(skeletons, memo)


class _Finder(pickle.Pickler):
    """Notes the tensors in what it pickles, and writes nothing that is read."""

    def __init__(self, nowhere: Any) -> None:
        super().__init__(nowhere)
        self.tensors: dict[int, Tensor | Generator] = {}
        self.whole: dict[int, Any] = {}

    def persistent_id(self, value: Any) -> str | None:
        """Note a value, or let it be looked into."""
        if isinstance(value, Tensor | Generator):
            if is_plain(value):
                self.tensors[id(value)] = value
            return "tensor"
        if isinstance(value, WHOLE):
            self.whole[id(value)] = value
            return "whole"
        return None


def _found_in(value: Any) -> _Finder:
    """Find the tensors that a pickle of a value would hold."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  no path
        finder = _Finder(nowhere)
        finder.dump(value)
    return finder


def is_plain(value: Tensor | Generator) -> bool:
    """Tell whether a value is numbers in memory, and nothing more."""
    if isinstance(value, Generator):
        return value.device.type == "cpu"
    return (
        not is_lazy(value)  # of which nothing else may be asked
        and type(value).__torch_dispatch__ is Tensor.__torch_dispatch__
        and value.layout is torch.strided
        and not (value.is_meta or value.is_nested or value.is_quantized)
    )


def _record(number: int, value: Tensor | Generator) -> dict[str, Any]:
    """Describe a tensor or a generator by an array and plain values."""
    if isinstance(value, Generator):
        about: dict[str, Any] = {"type": Generator}
        tensor = value.get_state()
    else:
        # Of parameters torch itself copies no attributes.
        is_parameter = issubclass(type(value), nn.Parameter)
        about = {
            "type": type(value),
            "attributes": {} if is_parameter else dict(vars(value)),
            "requires_grad": value.requires_grad,
            "device": str(value.device),
        }
        tensor = value.detach().as_subclass(Tensor).cpu().resolve_conj().resolve_neg()
    placeholder = torch.empty_strided(
        tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
    )
    placeholder.number = number  # type: ignore[attr-defined]
    return about | {"placeholder": placeholder, "bytes": _bytes_of(tensor)}


def _bytes_of(tensor: Tensor) -> Any:
    """View the memory that a tensor reaches over as bytes."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    reach = 1 + sum((n - 1) * step for n, step in steps) if tensor.numel() else 0
    return tensor.as_strided((reach,), (1,)).view(torch.uint8).numpy()


def _value_of(record: dict[str, Any]) -> Tensor | Generator:
    """Build a tensor or a generator again, of its own memory."""
    like = record["placeholder"]
    flat = torch.tensor(record["bytes"], device="cpu").view(like.dtype)
    tensor = flat.as_strided(like.shape, like.stride())
    if record["type"] is Generator:
        return Generator().set_state(tensor)
    tensor = torch.Tensor._make_subclass(
        record["type"], _on(record["device"], tensor), record["requires_grad"]
    )
    vars(tensor).update(record["attributes"])
    return tensor


def _on(device: str, tensor: Tensor) -> Tensor:
    """Move a tensor to its device, if that is there."""
    try:
        return tensor.to(device)
    except (AssertionError, NotImplementedError, RuntimeError):
        return tensor
