"""What runs beside the steps: the callbacks of the user, what they monitor, the bar."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from tqdm.auto import tqdm

from sklearn_byol.training._history import plain

OURS = ("bar",)
NUMBERS = ("misses_", "dynamic_threshold_", "best_epoch_")
WEIGHTS = "best_model_weights_"

NamedCallbacks = Iterable[tuple[str, Callback]]
Given = Sequence[Callback | tuple[str, Callback]]


def check_callbacks(callbacks: Given | None) -> None:
    """Refuse what is no callback of skorch's, or pair of a name of its own and one."""
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


def callbacks_of(given: Given, bar: "ProgressBar | None", *, is_first: bool) -> Given:
    """Copy the user's callbacks, and put the bar behind them.

    A copy shares what its original was made with, such as a writer to a log. Where many
    processes train, only the first has those that show or write something.
    """
    pairs = [c if isinstance(c, tuple) else (None, c) for c in given]
    copies: list[Any] = [
        _copy(callback) if name is None else (name, _copy(callback))
        for name, callback in pairs
        if is_first or not _tells(callback)
    ]
    return [*copies, ("bar", bar)] if bar is not None and is_first else copies


def sets_lr(callbacks: NamedCallbacks) -> bool:
    """Tell whether the learning rate is not left to a scheduler of skorch's."""
    return not any(isinstance(callback, LRScheduler) for _, callback in callbacks)


def _tells(callback: Callback) -> bool:
    """Tell whether a callback of skorch's shows or writes what one process knows."""
    is_logger = type(callback).__module__ == "skorch.callbacks.logging"
    return is_logger or isinstance(callback, Checkpoint)


def _copy(callback: Callback) -> Callback:
    """Make a callback that is new, of the same parameters."""
    return type(callback)(**callback.get_params(deep=False))


def check_monitors(callbacks: NamedCallbacks, row: dict[str, Any]) -> None:
    """Refuse callbacks that monitor what a row of the history does not have."""
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in row:
            names = ", ".join(sorted(set(row) - {"batches", "epoch"}))
            is_apart = "validation_score" in row
            none = "" if is_apart else "; there is no validation set"
            raise ValueError(
                f"{type(callback).__name__} ({name!r} in callbacks) monitors "
                f"{monitor!r}, which nothing writes to the history. It has {names}"
                f"{none}. ProbeCallback, before it in callbacks, writes 'knn_accuracy'."
            )


def stopping_state(callbacks: NamedCallbacks) -> list[dict[str, Any]]:
    """Return how long each EarlyStopping has waited, and its best weights if kept."""
    return [
        plain({name: getattr(callback, name) for name in NUMBERS})
        | {WEIGHTS: callback.best_model_weights_}
        for callback in _stoppers(callbacks)
    ]


def load_stopping(callbacks: NamedCallbacks, states: Sequence[dict[str, Any]]) -> None:
    """Let each EarlyStopping go on waiting, if they are as many as they were."""
    stoppers = _stoppers(callbacks)
    if len(stoppers) != len(states):
        return
    for callback, state in zip(stoppers, states, strict=True):
        for name, value in state.items():
            setattr(callback, name, value)


def _stoppers(callbacks: NamedCallbacks) -> list[EarlyStopping]:
    """Choose those that have begun to count."""
    return [
        callback
        for _, callback in callbacks
        if isinstance(callback, EarlyStopping) and hasattr(callback, "best_epoch_")
    ]


class ProgressBar(Callback):
    """A tqdm bar over all steps, with the epoch and some of its figures.

    `n_steps` is infinite where a training has no end; `figures` are what is shown of a
    row of the history, and how.
    """

    def __init__(
        self, n_steps: float, n_epochs: int, figures: dict[str, str], prefix: str = ""
    ) -> None:
        self.n_steps, self.n_epochs, self.figures = n_steps, n_epochs, figures
        self.prefix = prefix

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.n_steps if math.isfinite(self.n_steps) else None,
            initial=net.step_,
            unit="step",
            desc=f"{self.prefix}epoch {len(net.history) + 1}/{self.n_epochs}",
        )

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Say which epoch this is."""
        epoch = len(net.history)
        title = f"{self.prefix}epoch {epoch}/{self.n_epochs}"
        self.bar_.set_description(title, refresh=False)

    def on_batch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Advance by one step."""
        self.bar_.update()

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Show the figures of this epoch."""
        row = net.history[-1]
        shown = [t.format(row[name]) for name, t in self.figures.items() if name in row]
        self.bar_.set_postfix_str(", ".join(shown))

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Close the bar."""
        self.bar_.close()
