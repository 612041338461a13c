"""From "auto" to numbers: learning rate, decay, momentum and warm-up of a training."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from sklearn_byol.objective import auto_momentum
from sklearn_byol.training._batches import count_batches

__all__ = ["Schedule", "resolve_schedule"]

REFERENCE_BATCH = 128  # images of a step that the learning rates are meant for

# Learning rate and decay of each optimizer. Adam's steps do not grow with the gradient,
# so its learning rate follows the root of the batch size, the others' the batch size.
AUTO_LR = {"adamw": 3e-3, "sgd": 0.06, "lars": 0.5}
PRETRAINED_LR_SCALE = 0.3
ENDLESS_WARMUP = 100  # steps
AUTO_WEIGHT_DECAY = {"adamw": 1e-4, "sgd": 1e-4, "lars": 1e-6}


@dataclass(frozen=True)
class Schedule:
    """What was taken for the parameters of the same names.

    Attributes
    ----------
    lr, weight_decay, momentum, warmup_epochs : float
        As in `BYOLTransformer`.
    n_steps : float
        Steps of the training; infinite if it has no end.
    n_warmup : int
        Steps of its warm-up.
    """

    lr: float
    weight_decay: float
    momentum: float
    warmup_epochs: float
    n_steps: float
    n_warmup: int


def resolve_schedule(
    optimizer: str | Callable[..., Optimizer],
    lr: float | str,
    weight_decay: float | str,
    momentum: float | str,
    warmup_epochs: float | str,
    *,
    n_images: int,
    batch_size: int,
    max_epochs: int | None,
    is_pretrained: bool = False,
) -> Schedule:
    """Replace "auto" by what suits the size of the batches and the number of steps.

    Parameters
    ----------
    optimizer, lr, weight_decay, momentum, warmup_epochs, batch_size, max_epochs
        As in `BYOLTransformer`; without `max_epochs` the training has no end, "auto" is
        a warm-up of 100 steps, and a learning rate for full batches.
    n_images : int
        Images to train on.
    is_pretrained : bool
        Whether the encoder has been trained already; learning rates are lower then.

    Returns
    -------
    Schedule
        Numbers only.

    Raises
    ------
    ValueError
        If a learning rate is asked for an optimizer that has none here.
    """
    n_batches = count_batches(n_images, batch_size)
    n_steps = math.inf if max_epochs is None else n_batches * max_epochs
    if isinstance(warmup_epochs, str):
        warmup_epochs = (
            ENDLESS_WARMUP / n_batches
            if max_epochs is None
            else min(10.0, max_epochs / 10)
        )
    if isinstance(lr, str):
        lr = _auto_lr(
            optimizer, batch_size if max_epochs is None else n_images / n_batches
        )
        lr *= PRETRAINED_LR_SCALE if is_pretrained else 1
    return Schedule(
        lr=float(lr),
        weight_decay=float(
            AUTO_WEIGHT_DECAY.get(_name(optimizer), 0.0)
            if weight_decay == "auto"
            else weight_decay
        ),
        momentum=float(
            auto_momentum(max(n_steps, 1)) if momentum == "auto" else momentum
        ),
        warmup_epochs=float(warmup_epochs),
        n_steps=n_steps,
        n_warmup=int(max(0, min(round(n_batches * warmup_epochs), n_steps - 1))),
    )


def _name(optimizer: Any) -> str:
    """Return the name of an optimizer, nothing for one of the user's own."""
    return optimizer if isinstance(optimizer, str) else ""


def _auto_lr(optimizer: str | Callable[..., Optimizer], batch: float) -> float:
    """Scale the learning rate of an optimizer to the images of a step."""
    if not isinstance(optimizer, str):
        raise ValueError(
            f"lr='auto' is known for {', '.join(map(repr, AUTO_LR))} only. Pass a "
            f"number with optimizer={optimizer!r}."
        )
    scale = batch / REFERENCE_BATCH
    return AUTO_LR[optimizer] * (math.sqrt(scale) if optimizer == "adamw" else scale)
