"""The figures of each epoch."""

import logging
import math
import time
from numbers import Real
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor

from sklearn_byol.objective import effective_rank
from sklearn_byol.training._processes import STEPS_BETWEEN_MEETINGS, Processes

LOG = logging.getLogger("sklearn_byol")

History = dict[str, list[float]]
Row = dict[str, Any]

FIGURES = (
    *("epoch", "loss", "spread", "effective_rank", "lr", "momentum"),
    *("seconds", "images_per_second"),
)

# Numbers with a word of whether they are the best so far, and which are better.
BEST = {"train_loss": True, "spread": False, "effective_rank": False}

NOTHING: Row = {"losses": [], "spreads": [], "n_images": 0, "seconds": 0.0}


class EpochFigures:
    """What is known of the epoch that has begun.

    Loss and spread are means over the batches, and over the processes where many train;
    the effective rank is of the projections of the last batch alone, as it takes a
    decomposition. Tensors stay where they are, since reading them makes a GPU wait:
    every 100 steps, and at the end, it is looked at whether losses are finite.
    """

    def __init__(self) -> None:
        self.load(NOTHING)

    def state(self) -> Row:
        """Return what is known, as numbers and one tensor."""
        return {
            "losses": [loss.item() for loss in self.losses],
            "spreads": [spread.item() for spread in self.spreads],
            "projection": self.projection.cpu() if self.losses else None,
            "n_checked": self.n_checked,
            "n_images": self.n_images,
            "seconds": self._seconds() if self.losses else 0.0,
        }

    def load(self, state: Row) -> None:
        """Go on with an epoch that had begun."""
        self.losses = [torch.tensor(value) for value in state["losses"]]
        self.spreads = [torch.tensor(value) for value in state["spreads"]]
        self.projection: Tensor = state.get("projection")  # type: ignore[assignment]
        self.n_checked = state.get("n_checked", 0)
        self.n_images, self.seconds = state["n_images"], state["seconds"]
        self.begin()

    def begin(self) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def add(
        self, step: dict[str, Tensor], n_images: int, n_steps: int, processes: Processes
    ) -> None:
        """Note what a step has come to, the last of `n_steps`."""
        self.losses.append(step["loss"])
        self.spreads.append(step["spread"])
        self.projection = step["projection"]
        self.n_images += n_images
        if n_steps % STEPS_BETWEEN_MEETINGS == 0:
            self._meet(n_steps, processes)

    def record(self, net: NeuralNet, processes: Processes) -> None:
        """Write the row of the epoch that has ended, and begin the next."""
        self._meet(net.step_, processes)
        lr = net.optimizer_.param_groups[0]["lr"]
        row = self.row(processes) | {"lr": lr, "momentum": net.momentum_}
        for name, value in row.items():
            net.history.record(name, value)
        for name, lower_is_better in BEST.items():
            record_best(net, name, lower_is_better=lower_is_better)
        if processes.is_first:
            LOG.info(
                "Epoch %(epoch)d: loss %(train_loss).4f, spread %(spread).3f, "
                "effective rank %(effective_rank).1f, %(images_per_second).0f images/s",
                net.history[-1],
            )
        self.load(NOTHING)

    def row(self, processes: Processes) -> Row:
        """Sum up the steps until now."""
        self._average(processes)
        seconds = self._seconds()
        # On the CPU: MPS has no singular values, and so few are found fast.
        rank = effective_rank(processes.joined(self.projection))
        return {
            "train_loss": _mean(self.losses),
            "spread": _mean(self.spreads),
            "effective_rank": rank.item(),
            "seconds": seconds,
            "images_per_second": sum(processes.every(self.n_images)) / seconds,
        }

    def _seconds(self) -> float:
        """Count the seconds of this epoch, with those before it was gone on with."""
        return self.seconds + time.perf_counter() - self.began

    def _meet(self, n_steps: int, processes: Processes) -> None:
        """Raise if a loss that is new is not finite."""
        losses = self._average(processes)
        values = torch.stack(losses).tolist() if losses else []
        for step, value in enumerate(values, n_steps - len(values)):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"The loss was {value} at step {step}. Try a lower lr, a longer "
                    "warm-up or a larger batch_size, and look for values in X that are "
                    "far from the others."
                )

    def _average(self, processes: Processes) -> list[Tensor]:
        """Average what is new over the processes; return the losses among it."""
        new = slice(self.n_checked, None)
        self.n_checked = len(self.losses)
        for values in (self.losses, self.spreads):
            if values[new]:
                values[new] = processes.mean(_stacked(values[new])).unbind()
        return self.losses[new]


def _stacked(values: list[Tensor]) -> Tensor:
    """Stack numbers where the last one was computed; others may come from a file."""
    return torch.stack([value.to(values[-1].device) for value in values])


def _mean(values: list[Tensor]) -> float:
    """Average tensors, on the CPU: those of a file give the same bits as a GPU's."""
    return _stacked(values).cpu().mean().item()


def record_best(net: NeuralNet, name: str, *, lower_is_better: bool) -> None:
    """Write whether the number of this epoch is the best so far, as skorch does."""
    *before, now = (row.get(name, math.nan) for row in net.history)
    sign = -1 if lower_is_better else 1
    is_best = not math.isnan(now) and not any(sign * it >= sign * now for it in before)
    net.history.record(f"{name}_best", is_best)


def history_of(rows: list[Row], figures: tuple[str, ...] = FIGURES) -> History:
    """Turn skorch's rows of epochs into one list for each figure."""
    keys = {name: name for name in figures} | {"loss": "train_loss"}
    ours = {*figures, "train_loss", "epoch"}
    for row in rows:
        theirs = (name for name in row if name not in ours and _is_number(row[name]))
        keys |= {name: name for name in theirs if not name.endswith("_best")}
    return {
        name: [_number(row.get(key, math.nan)) for row in rows]
        for name, key in keys.items()
    }


def rows_of(history: History) -> tuple[Row | None, list[Row]]:
    """Turn what `history_of` returns into rows: that of epoch 0, if any, and others."""
    names = {name: "train_loss" if name == "loss" else name for name in history}
    rows = [
        {names[name]: value for name, value in zip(history, values, strict=True)}
        for values in zip(*history.values(), strict=True)
    ]
    start = rows.pop(0) if rows and rows[0].get("epoch") == 0 else None
    return start, [{**row, "batches": []} for row in rows]


def plain(row: Row) -> Row:
    """Keep the numbers and strings of a row of the history, as Python's own."""
    return {
        key: _number(value)
        for key, value in row.items()
        if _is_number(value) or type(value) in {str, bool}
    }


def _is_number(value: object) -> bool:
    """Tell numbers, numpy's and tensors of one among them, from the rest."""
    is_single = isinstance(value, Tensor) and value.numel() == 1
    return is_single or (isinstance(value, Real) and not isinstance(value, bool))


def _number(value: Any) -> float:
    """Turn a number into Python's own."""
    found: float = value.item() if hasattr(value, "item") else value
    return found
