"""The figures of each epoch, and the error when they are no numbers."""

import math
import time
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from sklearn_byol.objective import effective_rank

__all__ = ["EpochFigures"]

STEPS_BETWEEN_CHECKS = 100


class EpochFigures(Callback):
    """Writes the figures of each epoch to the history.

    Loss and spread are means over the batches; the effective rank is of the projections
    of the last batch alone, as it takes a decomposition.

    Raises
    ------
    FloatingPointError
        If a loss is infinite or not a number; looked at every 100 steps, since looking
        makes a GPU wait.
    """

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Count steps from 0."""
        self.step_ = 0

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Start the clock."""
        self.began_ = time.perf_counter()
        self.losses_: list[Tensor] = []
        self.spreads_: list[Tensor] = []
        self.n_images_ = 0
        self.n_checked_ = 0

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kw: Any
    ) -> None:
        """Keep the tensors where they are."""
        self.losses_.append(kw["loss"])
        self.spreads_.append(kw["spread"])
        self.projection_: Tensor = kw["projection"]
        self.n_images_ += len(batch[0])
        self.step_ += 1
        if self.step_ % STEPS_BETWEEN_CHECKS == 0:
            self._check()

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Read the tensors and write a row."""
        self._check()
        seconds = time.perf_counter() - self.began_
        net.history.record("train_loss", torch.stack(self.losses_).mean().item())
        net.history.record("spread", torch.stack(self.spreads_).mean().item())
        # On the processor: MPS has no singular values, and so few are found fast.
        rank = effective_rank(self.projection_.cpu())
        net.history.record("effective_rank", rank.item())
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])
        net.history.record("momentum", net.momentum_)
        net.history.record("seconds", seconds)
        net.history.record("images_per_second", self.n_images_ / seconds)

    def _check(self) -> None:
        """Raise if a loss of this epoch that was not looked at yet is not finite."""
        new = self.losses_[self.n_checked_ :]
        first = self.step_ - len(new)
        self.n_checked_ = len(self.losses_)
        values = torch.stack(new).tolist() if new else []
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The loss was {value} at step {first + offset}. Try a lower lr, a "
                    "longer warm-up or a larger batch_size, and look for values in X "
                    "that are far from the others."
                )
