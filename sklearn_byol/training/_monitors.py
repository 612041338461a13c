"""What callbacks watch: names that nobody writes, and counts that go on."""

from collections.abc import Iterable, Sequence
from typing import Any

from skorch.callbacks import Callback, EarlyStopping

__all__ = ["check_monitors", "load_stopping", "stopping_state"]

NUMBERS = ("misses_", "dynamic_threshold_", "best_epoch_")
WEIGHTS = "best_model_weights_"

NamedCallbacks = Iterable[tuple[str, Callback]]


def check_monitors(callbacks: NamedCallbacks, row: dict[str, Any]) -> None:
    """Refuse callbacks that monitor what the history does not have.

    Parameters
    ----------
    callbacks : iterable of (str, Callback)
        Those of skorch have what they monitor as `monitor`.
    row : dict
        The last row of the history.

    Raises
    ------
    ValueError
        If one monitors a name that is not in the row; says which are.
    """
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in row:
            names = ", ".join(sorted(set(row) - {"batches", "epoch"}))
            raise ValueError(
                f"{type(callback).__name__} ({name!r} in callbacks) monitors "
                f"{monitor!r}, which nothing writes to the history. It has {names}; "
                "there is no validation set. ProbeCallback, before it in callbacks, "
                "writes 'knn_accuracy'."
            )


def stopping_state(callbacks: NamedCallbacks) -> list[dict[str, Any]]:
    """Return how long each EarlyStopping has waited, and its best weights if kept.

    Parameters
    ----------
    callbacks : iterable of (str, Callback)
        Others are left out: they begin anew.

    Returns
    -------
    list of dict
        Numbers, and a dict of tensors or None.
    """
    return [
        {
            **{name: float(getattr(callback, name)) for name in NUMBERS},
            WEIGHTS: None
            if callback.best_model_weights_ is None
            else dict(callback.best_model_weights_),
        }
        for callback in _stoppers(callbacks)
    ]


def load_stopping(callbacks: NamedCallbacks, states: Sequence[dict[str, Any]]) -> None:
    """Let each EarlyStopping go on waiting, if they are as many as they were.

    Parameters
    ----------
    callbacks : iterable of (str, Callback)
        Training has begun for them.
    states : sequence of dict
        What `stopping_state` has returned.
    """
    stoppers = _stoppers(callbacks)
    if len(stoppers) != len(states):
        return
    for callback, state in zip(stoppers, states, strict=True):
        callback.misses_ = int(state["misses_"])
        callback.dynamic_threshold_ = state["dynamic_threshold_"]
        callback.best_epoch_ = int(state["best_epoch_"])
        callback.best_model_weights_ = state[WEIGHTS]


def _stoppers(callbacks: NamedCallbacks) -> list[EarlyStopping]:
    """Choose those that have begun to count."""
    return [
        callback
        for _, callback in callbacks
        if isinstance(callback, EarlyStopping) and hasattr(callback, "best_epoch_")
    ]
