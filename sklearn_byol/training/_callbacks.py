"""What runs beside the steps: schedules, the user's callbacks, the bar."""

from collections.abc import Sequence
from typing import Any

from skorch.callbacks import Callback, Checkpoint, LRScheduler

from sklearn_byol.training._progress import ProgressBar
from sklearn_byol.training._schedules import Schedules
from sklearn_byol.training._settings import TrainingSettings

__all__ = ["check_callbacks", "with_ours"]

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
