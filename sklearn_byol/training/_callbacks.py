"""What runs beside the steps: the callbacks of the user, what they monitor, the bar."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from tqdm.auto import tqdm

from sklearn_byol.training._plan import TrainingSettings
from sklearn_byol.training._schedules import Schedules

__all__ = [
    "ProgressBar",
    "check_callbacks",
    "check_monitors",
    "load_stopping",
    "stopping_state",
    "with_ours",
]


class ProgressBar(Callback):
    """A tqdm bar over all steps, with epoch, loss, spread and images per second.

    Parameters
    ----------
    n_steps : float
        Steps of the training; infinite if it has no end.
    n_epochs : int
        Epochs of it, so far if it has no end.
    """

    def __init__(self, n_steps: float, n_epochs: int) -> None:
        self.n_steps = n_steps
        self.n_epochs = n_epochs

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.n_steps if math.isfinite(self.n_steps) else None,
            initial=net.step_,
            unit="step",
            desc=f"epoch {len(net.history) + 1}/{self.n_epochs}",
        )

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Say which epoch this is."""
        epoch = len(net.history)
        self.bar_.set_description(f"epoch {epoch}/{self.n_epochs}", refresh=False)

    def on_batch_end(self, net: Any, **kw: Any) -> None:
        """Advance by one step."""
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Show the figures of this epoch."""
        row = net.history[-1]
        self.bar_.set_postfix_str(
            f"loss {row['train_loss']:.3f}, spread {row['spread']:.2f}, "
            f"{row['images_per_second']:,.0f} images/s"
        )

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Close the bar."""
        self.bar_.close()


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


OURS = ("bar", "checkpoints", "figures", "schedules")


def check_callbacks(callbacks: Sequence[Any] | None) -> Sequence[Any]:
    """Check that callbacks are skorch's, or pairs of a name and one of skorch's.

    Parameters
    ----------
    callbacks : sequence or None
        What the user has passed.

    Returns
    -------
    sequence
        The same, or an empty one.

    Raises
    ------
    TypeError
        If one of them is something else.
    ValueError
        If two have one name, or one has a name of the library's own.
    """
    names = []
    for callback in callbacks or ():
        is_named = isinstance(callback, tuple) and len(callback) == 2
        is_named = is_named and isinstance(callback[0], str)
        if not isinstance(callback[1] if is_named else callback, Callback):
            raise TypeError(
                "callbacks must be instances of skorch.callbacks.Callback, or pairs "
                f"of a name and such an instance. Got {callback!r}."
            )
        names += [callback[0]] if is_named else []
    taken = [name for name in names if name in OURS or names.count(name) > 1]
    if taken:
        raise ValueError(
            f"callbacks must have names of their own, and none of {', '.join(OURS)}. "
            f"Got {taken[0]!r}; pass another name."
        )
    return callbacks or ()


def with_ours(settings: TrainingSettings) -> list[Any]:
    """Schedules first, then copies of the user's callbacks, then the bar.

    A copy shares what its original was made with, such as a writer to a log. With a
    scheduler of the user's the learning rate is left to it. Where many processes train,
    only the first has those that show or write something.
    """
    schedule, is_first = settings.schedule, settings.processes.is_first
    given = [c if isinstance(c, tuple) else (None, c) for c in settings.callbacks]
    given = [pair for pair in given if is_first or not _tells(pair[1])]
    sets_lr = not any(isinstance(callback, LRScheduler) for _, callback in given)
    callbacks: list[Any] = [("schedules", Schedules(schedule, sets_lr=sets_lr))]
    for name, callback in given:
        copied = _copy(callback)
        callbacks.append(copied if name is None else (name, copied))
    if settings.verbose and is_first:
        callbacks.append(("bar", ProgressBar(schedule.n_steps, settings.max_epochs)))
    return callbacks


def _tells(callback: Callback) -> bool:
    """Tell whether a callback of skorch's shows or writes what one process knows."""
    is_logger = type(callback).__module__ == "skorch.callbacks.logging"
    return is_logger or isinstance(callback, Checkpoint)


def _copy(callback: Callback) -> Callback:
    """Make a callback that is new, of the same parameters."""
    copied: Callback = type(callback)(**callback.get_params(deep=False))
    return copied
