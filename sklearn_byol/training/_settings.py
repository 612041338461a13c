"""What a training needs to know besides encoder, images and views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim import Optimizer

from sklearn_byol.training._checkpoints import Checkpoints
from sklearn_byol.training._devices import resolve_precision
from sklearn_byol.training._processes import ALONE, Processes
from sklearn_byol.training._schedule import Schedule, resolve_schedule

__all__ = ["TrainingSettings"]


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
