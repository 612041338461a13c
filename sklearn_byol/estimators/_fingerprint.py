"""What a training depends on, in words that can be compared."""

import functools
import os
import re
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

from sklearn_byol._about import __version__
from sklearn_byol.estimators._saving import digest_of
from sklearn_byol.images._containers import AllImages, digest
from sklearn_byol.networks._pretrained import PUBLISHED, path_and_prefix

# Parameters that say where and how comfortably, not what is learned.
WHERE = {"cache", "checkpoint", "checkpoint_minutes", "device", "n_jobs"}
AFTER = {"hog", "mirror", "transform_precision", "unit_variance"}
WITHOUT_EFFECT = WHERE | AFTER | {"callbacks", "on_error", "on_interrupt"}
WITHOUT_EFFECT |= {"verbose", "warm_start"}


def fingerprint(estimator: Any, images: AllImages) -> dict[str, str]:
    """Describe what decides how a training goes: parameters, images, version.

    A `random_state` that is no int stands for any seed.
    """
    names = set(estimator.get_params(deep=False)) - WITHOUT_EFFECT
    if not isinstance(estimator.random_state, Integral):
        names.remove("random_state")
    about = describe_parameters(estimator, names)
    path, prefix = path_and_prefix(estimator.weights or PUBLISHED)
    if str(path) != PUBLISHED:
        content = np.fromfile(Path(path).expanduser(), np.uint8)
        about["weights"] = f"a file with the digest {digest_of([prefix, content])}"
    shape, pixels = "x".join(map(str, images.shape)), digest(images)
    about["X"] = f"{len(images)} images of {shape}, pixels and dtype {pixels}"
    return about | {"the version of sklearn_byol": __version__}


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
        content = digest_of([repr(value), dict(value.state_dict())])
        return f"{type(value).__name__} with the weights {content}"
    if callable(value):
        return _describe_callable(value)
    if isinstance(value, np.generic | os.PathLike):
        value = value.item() if isinstance(value, np.generic) else os.fspath(value)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _describe_callable(function: Any) -> str:
    """Describe a function or a class by its name, others by what they hold as well."""
    if isinstance(function, functools.partial):
        held = (function.func, *function.args, *sorted(function.keywords.items()))
        return f"partial{_describe(held)}"
    if hasattr(function, "__qualname__"):
        name = f"{function.__module__}.{function.__qualname__}"
        cells = getattr(function, "__closure__", None) or ()
        held = (getattr(function, "__defaults__", None) or ()) + tuple(
            cell.cell_contents for cell in cells
        )
        return f"{name}{_describe(held)}" if held else name
    held = tuple(sorted(getattr(function, "__dict__", {}).items()))
    return f"{type(function).__qualname__}{_describe(held)}"
