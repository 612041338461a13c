"""One training from an untrained encoder to its history."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol.exceptions import CollapseWarning
from sklearn_byol.networks import build_byol_network
from sklearn_byol.training._batches import ImageSource, ViewBatches
from sklearn_byol.training._net import BYOLNet, TrainingStopped, make_net
from sklearn_byol.training._progress import ProgressBar
from sklearn_byol.training._randomness import seeded_torch
from sklearn_byol.training._schedules import Schedules
from sklearn_byol.training._settings import TrainingSettings
from sklearn_byol.views import ViewPair

__all__ = ["History", "check_callbacks", "train"]

COLLAPSED = 0.05  # spread; a healthy training has ten times as much
FIGURES = (
    *("spread", "effective_rank", "lr", "momentum"),
    *("seconds", "images_per_second"),
)

History = dict[str, list[float]]


def train(
    encoder: nn.Module, images: ImageSource, views: ViewPair, settings: TrainingSettings
) -> History:
    """Train an encoder in place, by Algorithm 1 of the paper.

    Parameters
    ----------
    encoder : nn.Module
        From images in [0, 1] to representations; it ends on the device of the settings,
        in evaluation mode.
    images : ImageSource
        What to learn from; two or more.
    views : ViewPair
        How to draw views.
    settings : TrainingSettings
        Everything else.

    Returns
    -------
    dict of str to list of float
        The figures of each epoch.

    Raises
    ------
    FloatingPointError
        If a loss is not finite.

    Warns
    -----
    CollapseWarning
        If the spread at the end is below 0.05.
    """
    device = settings.device
    with seeded_torch(settings.seed):
        network = build_byol_network(
            encoder,
            settings.representation_dim,
            settings.hidden_dim,
            settings.projection_dim,
        )
    batches = ViewBatches(images, views, settings.batch_size, settings.seed, device)
    net = make_net(
        network.to(memory_format=torch.channels_last),
        precision=settings.precision,
        optimizer=settings.optimizer,
        optimizer__weight_decay=settings.schedule.weight_decay,
        lr=settings.schedule.lr,
        max_epochs=settings.max_epochs,
        device=device.type if device.index is None else str(device),
        iterator_train=lambda dataset, **options: batches,
        callbacks=_callbacks(settings),
    )
    is_global = views.draws_globally or settings.is_drawing
    with seeded_torch(settings.seed, device) if is_global else nullcontext():
        _run(net, images)
    _check_finite(encoder)
    encoder.eval().to(memory_format=torch.contiguous_format)
    history = _history(net)
    _warn_if_collapsed(history)
    return history


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


def _callbacks(settings: TrainingSettings) -> list[Any]:
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


def _run(net: BYOLNet, images: ImageSource) -> None:
    """Run skorch's loop; its own `fit` would swallow Ctrl-C."""
    net.initialize()
    net.notify("on_train_begin", X=images, y=None)
    try:
        net.fit_loop(images)
    except TrainingStopped:
        pass
    finally:
        net.notify("on_train_end", X=images, y=None)


def _history(net: BYOLNet) -> History:
    """Turn skorch's rows of epochs into one list for each figure."""
    names = {"loss": "train_loss"} | {name: name for name in FIGURES}
    return {name: [row[key] for row in net.history] for name, key in names.items()}


def _check_finite(encoder: nn.Module) -> None:
    """Raise if the last steps have destroyed the weights, which no loss has shown."""
    if not all(bool(weight.isfinite().all()) for weight in encoder.parameters()):
        raise FloatingPointError(
            "Weights of the encoder are infinite or not a number after the last step. "
            "Try a lower lr or a longer warm-up."
        )


def _warn_if_collapsed(history: History) -> None:
    """Warn if the last epoch's projections are nearly all the same."""
    if history["spread"][-1] < COLLAPSED:
        warnings.warn(
            f"Training ended collapsed: the spread of the projections is "
            f"{history['spread'][-1]:.3f}, where about 1 is healthy. Try a lower lr, a "
            "larger batch_size, a momentum nearer to 1, or views that change the "
            "images less. Silence this by filtering "
            "sklearn_byol.exceptions.CollapseWarning.",
            CollapseWarning,
            stacklevel=4,
        )
