"""From "auto" to the numbers of a training."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.exceptions import CollapseWarning, warn
from sklearn_byol.objective import auto_momentum
from sklearn_byol.training._batches import count_batches
from sklearn_byol.training._checkpoints import Checkpoints
from sklearn_byol.training._device import resolve_precision
from sklearn_byol.training._processes import ALONE, Processes

__all__ = ["Schedule", "TrainingSettings", "resolve_schedule", "warn_of_risks"]

SMALL_BATCH = 16
LARGE_ADAM_LR = 0.03


def warn_of_risks(
    encoder: nn.Module, optimizer: Any, lr: float, batch_size: int
) -> None:
    """Warn of settings that are known to collapse or to diverge.

    Parameters
    ----------
    encoder : nn.Module
        What is to be trained.
    optimizer, batch_size
        As in `BYOLTransformer`.
    lr : float
        The learning rate that is taken.

    Warns
    -----
    CollapseWarning
        Once for each risk: depthwise convolutions under Adam, batches of a few images,
        and a learning rate under Adam that was meant for LARS or SGD.
    """
    for risk in _risks(encoder, optimizer, lr, batch_size):
        warn(
            f"{risk} Training goes on; watch history_['spread']. Silence this by "
            "filtering sklearn_byol.exceptions.CollapseWarning.",
            CollapseWarning,
        )


def _risks(encoder: nn.Module, optimizer: Any, lr: float, batch_size: int) -> list[str]:
    """Say each risk in a sentence or two."""
    risks = []
    is_adam = (
        optimizer == "adamw" or "adam" in getattr(optimizer, "__name__", "").lower()
    )
    if is_adam and _is_depthwise(encoder):
        risks.append(
            "The encoder has depthwise convolutions, with which BYOL is known to "
            "collapse under Adam: try optimizer='lars' or 'sgd', or a residual network."
        )
    if is_adam and lr > LARGE_ADAM_LR:
        risks.append(
            f"lr={lr:g} is far above what Adam takes; was it meant for LARS or SGD? "
            "lr='auto' takes about 0.003."
        )
    if batch_size < SMALL_BATCH:
        risks.append(
            f"batch_size={batch_size} leaves batch norm, which keeps BYOL from "
            f"collapsing, few images to compare: take {SMALL_BATCH} or more."
        )
    return risks


def _is_depthwise(encoder: nn.Module) -> bool:
    """Tell whether most of the 3x3 and larger convolutions take one channel each."""
    spatial = [
        part
        for part in encoder.modules()
        if isinstance(part, nn.Conv2d) and max(part.kernel_size) > 1
    ]
    depthwise = [part for part in spatial if part.groups == part.in_channels > 1]
    return 2 * len(depthwise) > len(spatial)


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


@dataclass(frozen=True)
class TrainingSettings:
    """Numbers only, where the user may have said "auto".

    The names and meanings are those of the parameters of `BYOLTransformer`;
    `is_drawing` says that the encoder may draw from torch's global random state,
    `is_pretrained` that it has been trained already; `read_images` turns what
    transform takes into images in [0, 1]; `processes` are who trains.
    """

    representation_dim: int
    projection_dim: int
    hidden_dim: int
    optimizer: str | Callable[..., Optimizer]
    schedule: Schedule
    batch_size: int
    max_epochs: int
    callbacks: Sequence[Any]
    device: torch.device
    precision: torch.dtype
    seed: int
    is_drawing: bool
    verbose: int
    is_pretrained: bool = False
    checkpoints: Checkpoints | None = None
    read_images: Callable[[Any], Tensor] | None = None
    processes: Processes = ALONE

    @classmethod
    def of(
        cls,
        estimator: Any,
        *,
        n_images: int,
        image_shape: tuple[int, int, int],
        representation_dim: int,
        device: torch.device,
        seed: int,
        is_drawing: bool,
        is_pretrained: bool,
        n_epochs: int | None = None,
        checkpoints: Checkpoints | None = None,
        read_images: Callable[[Any], Tensor] | None = None,
        processes: Processes = ALONE,
    ) -> Self:
        """Take the parameters of an estimator, "auto" made numbers for these images.

        A number of epochs, all in all, is given where a training has no end: learning
        rate and momentum then stay what they are after the warm-up.
        """
        schedule = resolve_schedule(
            estimator.optimizer,
            estimator.lr,
            estimator.weight_decay,
            estimator.momentum,
            estimator.warmup_epochs,
            n_images=n_images,
            is_pretrained=is_pretrained,
            batch_size=int(estimator.batch_size),
            max_epochs=int(estimator.max_epochs) if n_epochs is None else None,
        )
        return cls(
            representation_dim=representation_dim,
            projection_dim=int(estimator.projection_dim),
            hidden_dim=int(estimator.hidden_dim),
            optimizer=estimator.optimizer,
            schedule=schedule,
            batch_size=int(estimator.batch_size),
            max_epochs=int(estimator.max_epochs) if n_epochs is None else n_epochs,
            callbacks=estimator.callbacks or (),
            device=device,
            precision=resolve_precision(estimator.precision, device, image_shape),
            seed=seed,
            is_drawing=is_drawing,
            verbose=int(estimator.verbose),
            is_pretrained=is_pretrained,
            checkpoints=checkpoints,
            read_images=read_images,
            processes=processes,
        )
