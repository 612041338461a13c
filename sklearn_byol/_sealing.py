"""A digest of what an estimator saves, by which damage to a file is noticed."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

__all__ = ["digest_of"]

Update = Callable[[Any], None]


def digest_of(state: Mapping[str, Any]) -> str:
    """Return 32 hexadecimal digits that another state does not have.

    Names, numbers, strings, arrays and weights count, in dicts, sequences, dataclasses
    and parameters of estimators. Lists and tuples count the same, numbers of numpy as
    those of Python, and of other objects only the name of their type, so that a state
    which was saved and read is the same whoever wrote the file. It guards against
    damage, not against those who would change the digest too.

    Parameters
    ----------
    state : dict
        What `__getstate__` returns.

    Returns
    -------
    str
        The digits.
    """
    found = hashlib.sha256()
    _feed(state, found.update)
    return found.hexdigest()[:32]


def _feed(value: Any, update: Update) -> None:
    """Show a value to the hash; each begins with its kind and its length."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        _feed_array(value, update)
    elif isinstance(value, Tensor):
        _feed_tensor(value, update)
    elif isinstance(value, Mapping):
        update(b"dict %d " % len(value))
        for key in sorted(value, key=repr):
            _feed(key, update)
            _feed(value[key], update)
    elif isinstance(value, list | tuple):
        update(b"list %d " % len(value))
        for part in value:
            _feed(part, update)
    else:
        _feed_object(value, update)


def _feed_object(value: Any, update: Update) -> None:
    """Show what an object holds, if it is of a kind that is known to stay the same."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        text = f"{type(value).__name__} {value!r} "
        update(text.encode("utf-8", "surrogatepass"))
        return
    name = getattr(value, "__qualname__", type(value).__qualname__)
    update(f"object {name} ".encode())
    if isinstance(value, type):
        return
    if isinstance(value, nn.Module):
        _feed(dict(value.state_dict()), update)
    elif isinstance(value, BaseEstimator):
        _feed(value.get_params(deep=False), update)
    elif dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        _feed({name: getattr(value, name) for name in names}, update)
    elif isinstance(value, np.random.RandomState):
        _feed(value.get_state(legacy=True), update)
    elif isinstance(value, os.PathLike):
        _feed(os.fspath(value), update)


def _feed_array(array: NDArray[Any], update: Update) -> None:
    """Show type, shape and values of an array."""
    update(f"array {array.dtype.str} {array.shape} ".encode())
    if array.dtype.hasobject:
        _feed(array.ravel().tolist(), update)
    elif array.size:
        # In C order, whatever the order that it was saved in.
        update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


def _feed_tensor(tensor: Tensor, update: Update) -> None:
    """Show type, shape and values of a tensor, of types too that numpy lacks."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    update(f"tensor {tensor.dtype} {tuple(tensor.shape)} ".encode())
    _feed_array(flat.view(torch.uint8).numpy(), update)
