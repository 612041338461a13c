"""skorch's loop around a BYOLNetwork."""

import dis
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.exceptions import SkorchException
from torch import Tensor, nn

from sklearn_byol.networks import BYOLNetwork, BYOLOutput
from sklearn_byol.objective import byol_loss, spread
from sklearn_byol.training._callbacks import check_monitors
from sklearn_byol.training._history import EpochFigures, plain
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._processes import ALONE, Processes

__all__ = ["BYOLNet", "TrainingStopped", "make_net"]


class TrainingStopped(Exception):  # noqa: N818  it is no error
    """A callback ended the training, as EarlyStopping does."""


class BYOLNet(NeuralNet):
    """A skorch net whose batches are pairs of views and whose loss needs no labels.

    Five things differ from skorch: the loss stays on the device until an epoch ends,
    since reading it after each batch makes a GPU wait; the history has rows of epochs
    only; products are computed in `precision`; a callback that stops the training can
    be told from Ctrl-C; and `processes` go from step to step and from epoch to epoch
    together, each with its share of a batch, whose loss is multiplied by what `weight`
    returns.
    """

    module_: BYOLNetwork
    read_images_: Callable[[Any], Tensor] | None
    represent_: Callable[[Tensor], NDArray[np.float32]]
    compute_: Callable[[Tensor, Tensor], BYOLOutput]

    def __init__(
        self,
        *args: Any,
        precision: torch.dtype,
        processes: Processes = ALONE,
        weight: Callable[[], float] = lambda: 1.0,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.precision = precision
        self.processes, self.weight = processes, weight

    def initialize(self) -> "BYOLNet":
        """Build everything; no step has been taken yet."""
        super().initialize()
        self.compute_ = self.module_.__call__
        self.step_ = 0
        self.momentum_ = 1.0
        return self

    @property
    def figures(self) -> EpochFigures:
        """The callback that writes the figures of each epoch."""
        return dict(self.callbacks_)["figures"]

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [("figures", EpochFigures())]

    def initialize_optimizer(self, triggered_directly: Any = None) -> "BYOLNet":
        """Build the optimizer, without decay of biases and norm parameters."""
        _, options = self.get_params_for_optimizer("optimizer", [])
        self.optimizer_ = make_optimizer(self.optimizer, self.module_, **options)
        return self

    def train_step_single(
        self, batch: tuple[Tensor, Tensor], **fit_params: Any
    ) -> dict[str, Tensor]:
        """Compute the loss of one pair of views and its gradients."""
        loss, figures = self.compare(batch)
        loss.backward()
        return {"loss": loss.detach(), **figures}

    def compare(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of one pair of views, and what else is looked at."""
        view_1, view_2 = (
            view.contiguous(memory_format=torch.channels_last) for view in batch
        )
        is_lower = self.precision != torch.float32
        with torch.autocast(view_1.device.type, self.precision, enabled=is_lower):
            output = self.compute_(view_1, view_2)
        loss = byol_loss(
            output.prediction_1, output.prediction_2, output.target_1, output.target_2
        )
        return loss * self.weight(), {
            "y_pred": output.prediction_1.detach(),
            "spread": spread(output.projection_1),
            "projection": output.projection_1.detach(),
        }

    def run_single_epoch(
        self,
        iterator: Iterable[Any] | None,
        training: bool,
        prefix: str,
        step_fn: Any,
        **fit_params: Any,
    ) -> None:
        """Go through the batches of one epoch."""
        if iterator is None:
            return
        self._set_training(training)
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.processes.equalise(self.module_.buffers())

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call the callbacks; raising KeyboardInterrupt is how skorch's ask to stop."""
        is_epoch_end, stops = method_name == "on_epoch_end", False
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            if not (is_epoch_end and _was_raised(interrupt)):
                raise
            stops = True
        except (LookupError, SkorchException, ValueError):
            if is_epoch_end:
                check_monitors(self.callbacks_, self.history[-1])
            raise
        if is_epoch_end:
            self._agree(stops=stops)

    def _agree(self, *, stops: bool) -> None:
        """Have one row of the history in all processes, and stop or go on together."""
        row = self.history[-1]
        row.update(self.processes.first(plain(row)))
        if any(self.processes.every(stops)):
            raise TrainingStopped
        writer = dict(self.callbacks_).get("checkpoints")
        if writer is not None:
            writer.write_if_due()


def _was_raised(interrupt: KeyboardInterrupt) -> bool:
    """Tell a raise statement from Ctrl-C, which strikes at any other instruction."""
    place = interrupt.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return False
    instruction = place.tb_frame.f_code.co_code[place.tb_lasti]
    return instruction == dis.opmap["RAISE_VARARGS"]


def make_net(module: BYOLNetwork, **options: Any) -> BYOLNet:
    """Build the net; the criterion of skorch has no part in it."""
    return BYOLNet(
        module,
        criterion=nn.Identity,
        train_split=None,
        verbose=0,
        **options,
    )
