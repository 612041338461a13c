"""Callbacks as parameters: found, set and cloned by name, as skorch's own nets do."""

import copy
from typing import Any

from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_byol.training._callbacks import (
    Given,
    One,
    check_callbacks,
    is_callback,
    made_anew,
    named,
)

PREFIX = "callbacks__"


def nested_parameters(callbacks: Given | None) -> dict[str, Any]:
    """Name each callback, and its parameters: `callbacks__NAME__PARAMETER`."""
    found: dict[str, Any] = {}
    for name, callback in _checked(callbacks):
        found[f"{PREFIX}{name}"] = callback
        if isinstance(callback, Callback):
            for key, value in callback.get_params(deep=False).items():
                found[f"{PREFIX}{name}__{key}"] = value
    return found


def with_parameters(callbacks: Given | None, changes: dict[str, Any]) -> Given:
    """Put other callbacks in places, or give them other parameters, by their names.

    None in the place of a callback takes it out.
    """
    check_callbacks(callbacks)
    pairs = dict(named(callbacks))
    inside: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        name, _, parameter = key.removeprefix(PREFIX).partition("__")
        if name not in pairs:
            raise ValueError(
                f"{key!r} is about a callback that is not there. The names in "
                f"callbacks are {', '.join(map(repr, pairs)) or 'none'}: a pair "
                "(name, callback) gives one, else the class does."
            )
        if parameter:
            inside.setdefault(name, {})[parameter] = value
        else:
            pairs[name] = value
    for name, parameters in inside.items():
        pairs[name] = _changed(name, pairs[name], parameters)
    return _referring(list(pairs.items()), dict(named(callbacks)))


def _referring(
    pairs: list[tuple[str, One | None]], before: dict[str, One | None]
) -> list[tuple[str, One | None]]:
    """Let callbacks refer to those that have taken the places of others."""
    new = {id(before[name]): one for name, one in pairs if one is not before[name]}
    found: list[tuple[str, One | None]] = []
    for name, one in pairs:
        held = one.get_params(deep=False) if isinstance(one, Callback) else {}
        changes = {key: new[id(it)] for key, it in held.items() if id(it) in new}
        found.append((name, _changed(name, one, changes) if changes else one))
    return found


def _changed(name: str, callback: One | None, parameters: dict[str, Any]) -> Callback:
    """Set parameters of a callback, or make one of its class with them."""
    if callback is None:
        raise ValueError(
            f"callbacks__{name}__{next(iter(parameters))} is a parameter of a callback "
            "that was set to None."
        )
    if isinstance(callback, type):
        return callback(**parameters)
    changed = copy.copy(callback)  # what it holds is shared
    changed.set_params(**parameters)
    return changed


def cloned_callbacks(callbacks: Any) -> Any:
    """Clone callbacks; what cannot be made anew, or copied, is shared."""
    if not _checked(callbacks):
        return clone(callbacks, safe=False)
    given = [one[1] if isinstance(one, tuple) else one for one in callbacks]
    made = made_anew(given, _copied)
    pairs = zip(callbacks, made, strict=True)
    return type(callbacks)(
        [(one[0], new) if isinstance(one, tuple) else new for one, new in pairs]
    )


def _copied(value: Any) -> Any:
    """Clone a value as scikit-learn does, or share it."""
    try:
        return clone(value, safe=False)
    except Exception:  # noqa: BLE001  of the user's own code
        return value


def _checked(callbacks: Any) -> list[tuple[str, One | None]]:
    """Name what are callbacks; what fit will refuse has no names."""
    are_callbacks = isinstance(callbacks, list | tuple) and all(
        is_callback(one) or (isinstance(one, tuple) and len(one) == 2)
        for one in callbacks
    )
    return named(callbacks) if are_callbacks else []
