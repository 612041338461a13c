"""From "auto" to the numbers of a training, and what is known to go wrong with some."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from sklearn_byol.exceptions import CollapseWarning, warn
from sklearn_byol.networks._encoders import is_depthwise
from sklearn_byol.objective import auto_momentum
from sklearn_byol.training._optimizers import AUTO_WEIGHT_DECAY, MakesOptimizer, auto_lr
from sklearn_byol.training._processes import ALONE, Processes

# Where an encoder has been trained already, its new heads take a third of the learning
# rate from scratch, and it takes a fifteenth of theirs (benchmarks/pretrained.py).
PRETRAINED_LR_SCALE = 1 / 3
ENCODER_LR_SCALE = 1 / 15
MIN_SIMILARITY = 0.95
EPOCHS, PRETRAINED_EPOCHS = 100, 10
ENDLESS_WARMUP = 100  # steps

RAISE, KEEP = "raise", "keep"

SMALL_BATCH = 16
LARGE_ADAM_LR = 0.03


@dataclass(frozen=True)
class Schedule:
    """The parameters of these names in numbers; steps are infinite without an end."""

    lr: float
    encoder_lr: float
    weight_decay: float
    momentum: float
    warmup_epochs: float
    n_steps: float
    n_warmup: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a training of BYOL and tuning both go by, "auto" made numbers.

    `is_drawing` says that the encoder may draw from torch's global random state, and
    `read_images` turns what transform and predict take into images in [0, 1].
    `processes` are who trains, of which the one that `is_first` shows and logs.
    """

    batch_size: int
    max_epochs: int
    callbacks: Sequence[Any]
    verbose: int
    device: torch.device
    precision: torch.dtype
    seed: int
    is_drawing: bool
    read_images: Callable[[object], Tensor] | None = None
    processes: Processes = ALONE
    is_first: bool = True
    on_interrupt: str = RAISE  # what becomes of a training that Ctrl-C ends
    frozen: Sequence[str] = ()  # layers of the encoder that stay as they are

    def autocast(self) -> torch.autocast:
        """Return the context in which products have the precision."""
        is_lower = self.precision != torch.float32
        return torch.autocast(self.device.type, self.precision, enabled=is_lower)


@dataclass(frozen=True, kw_only=True)
class Plan(Settings):
    """The parameters of `BYOLTransformer` of the same names.

    `is_pretrained` says that the encoder has been trained already, `is_held` that it is
    in evaluation mode while it learns.
    """

    representation_dim: int
    projection_dim: int
    hidden_dim: int
    optimizer: str | MakesOptimizer
    schedule: Schedule
    is_pretrained: bool = False
    is_held: bool = False
    min_similarity: float = 0.0

    @classmethod
    def of(
        cls, estimator: Any, *, n_images: int, n_epochs: int | None = None, **known: Any
    ) -> Self:
        """Take the parameters of an estimator; the fields that it lacks are `known`.

        A number of epochs, all in all, is given where a training has no end.
        """
        knows = known["is_pretrained"]
        max_epochs = resolve_epochs(estimator, is_pretrained=knows)
        mode, similarity = estimator.encoder_mode, estimator.min_similarity
        if isinstance(similarity, str):
            similarity = MIN_SIMILARITY if knows else 0.0
        return cls(
            is_held=knows if mode == "auto" else mode == "eval",
            min_similarity=float(similarity),
            projection_dim=int(estimator.projection_dim),
            hidden_dim=int(estimator.hidden_dim),
            optimizer=estimator.optimizer,
            schedule=resolve_schedule(
                estimator,
                n_images,
                max_epochs if n_epochs is None else math.inf,
                is_pretrained=knows,
            ),
            batch_size=int(estimator.batch_size),
            max_epochs=max_epochs if n_epochs is None else n_epochs,
            callbacks=estimator.callbacks or (),
            verbose=int(estimator.verbose),
            is_first=known["processes"].is_first,
            on_interrupt=estimator.on_interrupt,
            **known,
        )


def count_batches(n_images: int, batch_size: int) -> int:
    """Count the batches of an epoch, as few as `batch_size` allows.

    Each has two images or more, as batch norm needs: three images in batches of two
    are one batch.
    """
    return max(1, min(math.ceil(n_images / batch_size), n_images // 2))


def resolve_epochs(estimator: Any, *, is_pretrained: bool) -> int:
    """Replace "auto" by what suits the beginning: less where much is known already."""
    if not isinstance(estimator.max_epochs, str):
        return int(estimator.max_epochs)
    return PRETRAINED_EPOCHS if is_pretrained else EPOCHS


def resolve_schedule(
    estimator: Any, n_images: int, max_epochs: float, *, is_pretrained: bool
) -> Schedule:
    """Replace "auto" by what suits the batches and the number of steps.

    With infinite `max_epochs`, "auto" is a warm-up of 100 steps and a learning rate for
    full batches, and rate and momentum stay what they are.
    """
    optimizer, lr, momentum = estimator.optimizer, estimator.lr, estimator.momentum
    decay, warmup_epochs = estimator.weight_decay, estimator.warmup_epochs
    batch_size = int(estimator.batch_size)
    n_batches = count_batches(n_images, batch_size)
    n_steps, has_end = n_batches * max_epochs, math.isfinite(max_epochs)
    if isinstance(warmup_epochs, str):
        endless = ENDLESS_WARMUP / n_batches
        warmup_epochs = min(10.0, max_epochs / 10) if has_end else endless
    if isinstance(lr, str):
        n_together = n_images / n_batches if has_end else batch_size
        lr = auto_lr(optimizer, n_together)
        lr *= PRETRAINED_LR_SCALE if is_pretrained else 1
    encoder_lr = estimator.encoder_lr
    if isinstance(encoder_lr, str):
        encoder_lr = lr * (ENCODER_LR_SCALE if is_pretrained else 1)
    if isinstance(decay, str):
        name = optimizer if isinstance(optimizer, str) else ""
        decay = AUTO_WEIGHT_DECAY.get(name, 0.0)
    if isinstance(momentum, str):
        momentum = auto_momentum(max(n_steps, 1))
    n_warmup = int(max(0, min(round(n_batches * warmup_epochs), n_steps - 1)))
    rates = float(lr), float(encoder_lr), float(decay), float(momentum)
    return Schedule(*rates, float(warmup_epochs), n_steps, n_warmup)


def warn_of_risks(
    encoder: nn.Module,
    optimizer: str | MakesOptimizer,
    lr: float,
    batch_size: int,
    *,
    momentum: float = 0.0,
    is_held: bool = False,
) -> None:
    """Warn of each setting that is known to collapse or to diverge.

    `is_held` says that batch norm of the encoder keeps its statistics.
    """
    kind = getattr(optimizer, "func", optimizer)  # of functools.partial
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    is_adam = "adam" in name.lower()
    if is_adam and not is_held and is_depthwise(encoder):
        _warn(
            "The encoder has depthwise convolutions, with which BYOL is known to "
            "collapse under Adam: try optimizer='lars' or 'sgd', or a residual network."
        )
    if is_adam and lr > LARGE_ADAM_LR:
        _warn(
            f"lr={lr:g} is far above what Adam takes; was it meant for LARS or SGD? "
            "lr='auto' takes about 0.003."
        )
    if momentum == 1:
        _warn(
            "momentum=1 never moves the target network: the encoder learns to predict "
            "a random one, and no better one. Take 0.9 to 0.999, or 'auto'."
        )
    if batch_size < SMALL_BATCH:
        _warn(
            f"batch_size={batch_size} leaves batch norm, which keeps BYOL from "
            f"collapsing, few images to compare: take {SMALL_BATCH} or more."
        )


def _warn(risk: str) -> None:
    """Warn of one setting, and say that training continues."""
    after = "Training continues; watch history_['spread']."
    silence = "Silence this by filtering sklearn_byol.exceptions.CollapseWarning."
    warn(f"{risk} {after} {silence}", CollapseWarning)
