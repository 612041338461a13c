"""What a training depends on, in words that can be compared."""

import functools
import hashlib
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sklearn_byol._version import __version__
from sklearn_byol.images import Images, JoinedImages, StreamedImages, digest

__all__ = ["describe_parameters", "fingerprint"]

# Parameters that say where and how comfortably, not what is learned.
WITHOUT_EFFECT = {
    "cache",
    "callbacks",
    "checkpoint",
    "checkpoint_minutes",
    "device",
    "n_jobs",
    "on_error",
    "verbose",
    "warm_start",
}


def fingerprint(
    estimator: Any, images: Images | StreamedImages | JoinedImages
) -> dict[str, str]:
    """Describe what decides how a training goes: parameters, images, version.

    A `random_state` that is no int stands for any seed, and `max_epochs` does not count
    where `warm_start` lets a training go on for longer.

    Parameters
    ----------
    estimator : BYOLTransformer
        Its parameters.
    images : Images, StreamedImages or JoinedImages
        All images of fit.

    Returns
    -------
    dict of str to str
        A description by name.
    """
    names = set(estimator.get_params(deep=False)) - WITHOUT_EFFECT
    if not isinstance(estimator.random_state, Integral):
        names.remove("random_state")
    if estimator.warm_start:
        names.remove("max_epochs")
    shape = "x".join(map(str, images.shape))
    return {
        **describe_parameters(estimator, names),
        "X": f"{len(images)} images of {shape} with the pixels {digest(images)}",
        "the version of sklearn_byol": __version__,
    }


def describe_parameters(estimator: Any, names: Any) -> dict[str, str]:
    """Describe parameters of an estimator so that equal ones read the same."""
    parameters = estimator.get_params(deep=False)
    return {name: _describe(parameters[name]) for name in sorted(names)}


def _describe(value: Any) -> str:
    """Describe a value without addresses of this process."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_describe, value))})"
    if isinstance(value, BaseEstimator):
        parameters = describe_parameters(value, value.get_params(deep=False))
        inside = ", ".join(f"{name}={text}" for name, text in parameters.items())
        return f"{type(value).__name__}({inside})"
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} with the weights {_weights(value)}"
    if callable(value):
        return _describe_callable(value)
    return repr(value.item() if isinstance(value, np.generic) else value)


def _describe_callable(function: Any) -> str:
    """Describe a function or a class by its name, others by what they hold as well."""
    if isinstance(function, functools.partial):
        held = (function.func, *function.args, *sorted(function.keywords.items()))
        return f"partial{_describe(held)}"
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}.{function.__qualname__}"
    held = tuple(sorted(getattr(function, "__dict__", {}).items()))
    return f"{type(function).__qualname__}{_describe(held)}"


def _weights(module: nn.Module) -> str:
    """Name the structure and the weights of a module by 16 hexadecimal digits."""
    found = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        found.update(name.encode())
        flat = tensor.detach().cpu().reshape(-1).view(torch.uint8)
        found.update(memoryview(flat.numpy()))
    return found.hexdigest()[:16]
