"""The figures of each epoch, and the error when they are no numbers."""

import logging
import math
import time
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from sklearn_byol.objective import effective_rank

__all__ = ["EpochFigures"]

LOG = logging.getLogger("sklearn_byol")

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

    def initialize(self) -> "EpochFigures":
        """Begin with an epoch of which nothing is known."""
        self._begin([], [], n_images=0, seconds=0.0)
        return self

    def _begin(
        self,
        losses: list[Tensor],
        spreads: list[Tensor],
        n_images: int,
        seconds: float,
    ) -> None:
        """Take what is known of an epoch."""
        self.losses_, self.spreads_ = losses, spreads
        self.n_images_, self.seconds_ = n_images, seconds
        self.n_checked_ = 0
        self.began_ = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """Return what is known of the epoch that has begun."""
        return {
            "losses": [loss.item() for loss in self.losses_],
            "spreads": [spread.item() for spread in self.spreads_],
            "projection": self.projection_ if self.losses_ else None,
            "n_images": self.n_images_,
            "seconds": self._seconds() if self.losses_ else 0.0,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on with an epoch that had begun."""
        losses, spreads = (
            [torch.tensor(value) for value in state[name]]
            for name in ("losses", "spreads")
        )
        self._begin(losses, spreads, state["n_images"], state["seconds"])
        if losses:
            self.projection_ = state["projection"]

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Start the clock."""
        self.began_ = time.perf_counter()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kw: Any
    ) -> None:
        """Keep the tensors where they are."""
        self.losses_.append(kw["loss"])
        self.spreads_.append(kw["spread"])
        self.projection_ = kw["projection"]
        self.n_images_ += len(batch[0])
        if (net.step_ + 1) % STEPS_BETWEEN_CHECKS == 0:
            self._check(net.step_ + 1)

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Read the tensors and write a row."""
        self._check(net.step_)
        seconds = self._seconds()
        net.history.record("train_loss", _mean(self.losses_))
        net.history.record("spread", _mean(self.spreads_))
        # On the processor: MPS has no singular values, and so few are found fast.
        rank = effective_rank(self.projection_.cpu())
        net.history.record("effective_rank", rank.item())
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])
        net.history.record("momentum", net.momentum_)
        net.history.record("seconds", seconds)
        net.history.record("images_per_second", self.n_images_ / seconds)
        row = net.history[-1]
        LOG.info(
            "Epoch %d: loss %.4f, spread %.3f, effective rank %.1f, %.0f images/s",
            *(row[name] for name in ("epoch", "train_loss", "spread")),
            *(row[name] for name in ("effective_rank", "images_per_second")),
        )
        self._begin([], [], n_images=0, seconds=0.0)

    def _seconds(self) -> float:
        """Count the seconds of this epoch, with those before it was gone on with."""
        return self.seconds_ + time.perf_counter() - self.began_

    def _check(self, n_steps: int) -> None:
        """Raise if a loss of this epoch that was not looked at yet is not finite."""
        new = self.losses_[self.n_checked_ :]
        first = n_steps - len(new)
        self.n_checked_ = len(self.losses_)
        values = torch.stack(new).tolist() if new else []
        for offset, value in enumerate(values):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The loss was {value} at step {first + offset}. Try a lower lr, a "
                    "longer warm-up or a larger batch_size, and look for values in X "
                    "that are far from the others."
                )


def _mean(values: list[Tensor]) -> float:
    """Average tensors, where they were computed."""
    return torch.stack([value.to(values[-1].device) for value in values]).mean().item()
