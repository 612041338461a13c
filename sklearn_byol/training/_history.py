"""The figures of each epoch, and how a training has ended."""

import logging
import math
import time
from numbers import Real
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from sklearn_byol.exceptions import CollapseWarning, warn
from sklearn_byol.objective import effective_rank
from sklearn_byol.training._processes import STEPS_BETWEEN_MEETINGS, Processes

__all__ = [
    "EpochFigures",
    "check_finite",
    "is_number",
    "number",
    "plain",
    "warn_if_collapsed",
]


def is_number(value: Any) -> bool:
    """Tell numbers, numpy's and tensors of one among them, from the rest."""
    is_single = isinstance(value, Tensor) and value.numel() == 1
    return is_single or (isinstance(value, Real) and not isinstance(value, bool))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Keep the numbers and strings of a row of the history, as Python's own."""
    numbers = {key: number(value) for key, value in row.items() if is_number(value)}
    strings = {key: value for key, value in row.items() if type(value) in {str, bool}}
    return {**numbers, **strings}


def number(value: Any) -> float:
    """Turn a number into Python's own."""
    found: float = value.item() if hasattr(value, "item") else value
    return found


COLLAPSED = 0.05  # spread; a healthy training has ten times as much


def check_finite(encoder: nn.Module) -> None:
    """Raise if the last steps have destroyed the weights, which no loss has shown."""
    if not all(bool(weight.isfinite().all()) for weight in encoder.parameters()):
        raise FloatingPointError(
            "Weights of the encoder are infinite or not a number after the last step. "
            "Try a lower lr or a longer warm-up."
        )


def warn_if_collapsed(history: dict[str, list[float]]) -> None:
    """Warn if the last epoch's projections are nearly all the same."""
    if history["spread"] and history["spread"][-1] < COLLAPSED:
        warn(
            f"Training ended collapsed: the spread of the projections is "
            f"{history['spread'][-1]:.3f}, where about 1 is healthy. Try a lower lr, a "
            "larger batch_size, a momentum nearer to 1, or views that change the "
            "images less. Silence this by filtering "
            "sklearn_byol.exceptions.CollapseWarning.",
            CollapseWarning,
        )


LOG = logging.getLogger("sklearn_byol")


class EpochFigures(Callback):
    """Writes the figures of each epoch to the history.

    Loss and spread are means over the batches, and over the processes where many train;
    the effective rank is of the projections of the last batch alone, as it takes a
    decomposition.

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
            "projection": self.projection_.cpu() if self.losses_ else None,
            "n_checked": self.n_checked_,
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
        self.n_checked_ = state.get("n_checked", 0)
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
        if (net.step_ + 1) % STEPS_BETWEEN_MEETINGS == 0:
            self._meet(net.processes, net.step_ + 1)

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Read the tensors and write a row."""
        processes = net.processes
        self._meet(processes, net.step_)
        seconds = self._seconds()
        net.history.record("train_loss", _mean(self.losses_))
        net.history.record("spread", _mean(self.spreads_))
        # On the processor: MPS has no singular values, and so few are found fast.
        rank = effective_rank(processes.joined(self.projection_))
        net.history.record("effective_rank", rank.item())
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])
        net.history.record("momentum", net.momentum_)
        net.history.record("seconds", seconds)
        n_images = sum(processes.every(self.n_images_))
        net.history.record("images_per_second", n_images / seconds)
        if processes.is_first:
            _log(net.history[-1])
        self._begin([], [], n_images=0, seconds=0.0)

    def _seconds(self) -> float:
        """Count the seconds of this epoch, with those before it was gone on with."""
        return self.seconds_ + time.perf_counter() - self.began_

    def _meet(self, processes: Processes, n_steps: int) -> None:
        """Average what is new over the processes; raise if a loss is not finite."""
        new = slice(self.n_checked_, None)
        self.n_checked_ = len(self.losses_)
        for values in (self.losses_, self.spreads_):
            if values[new]:
                values[new] = processes.mean(torch.stack(values[new])).unbind()
        losses = self.losses_[new]
        first = n_steps - len(losses)
        for offset, value in enumerate(torch.stack(losses).tolist() if losses else []):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The loss was {value} at step {first + offset}. Try a lower lr, a "
                    "longer warm-up or a larger batch_size, and look for values in X "
                    "that are far from the others."
                )


def _log(row: dict[str, Any]) -> None:
    """Say what an epoch has come to."""
    LOG.info(
        "Epoch %d: loss %.4f, spread %.3f, effective rank %.1f, %.0f images/s",
        *(row[name] for name in ("epoch", "train_loss", "spread")),
        *(row[name] for name in ("effective_rank", "images_per_second")),
    )


def _mean(values: list[Tensor]) -> float:
    """Average tensors, where they were computed."""
    return torch.stack([value.to(values[-1].device) for value in values]).mean().item()
