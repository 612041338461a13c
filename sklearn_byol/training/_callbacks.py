"""What runs beside the steps: schedules, the user's callbacks, the bar."""

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_byol.training._progress import ProgressBar
from sklearn_byol.training._schedules import Schedules
from sklearn_byol.training._settings import TrainingSettings

__all__ = ["check_callbacks", "with_ours"]


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
    """
    for callback in callbacks or ():
        is_named = isinstance(callback, tuple) and len(callback) == 2
        if not isinstance(callback[1] if is_named else callback, Callback):
            raise TypeError(
                "callbacks must be instances of skorch.callbacks.Callback, or pairs "
                f"of a name and such an instance. Got {callback!r}."
            )
    return callbacks or ()


def with_ours(settings: TrainingSettings) -> list[Any]:
    """Schedules first, then copies of the user's callbacks, then the bar."""
    schedule = settings.schedule
    callbacks: list[Any] = [("schedules", Schedules(schedule))]
    for callback in settings.callbacks:
        if isinstance(callback, tuple):
            callbacks.append((callback[0], clone(callback[1], safe=False)))
        else:
            callbacks.append(clone(callback, safe=False))
    if settings.verbose:
        callbacks.append(("bar", ProgressBar(schedule.n_steps, settings.max_epochs)))
    return callbacks
