"""What changes from step to step: learning rate, momentum, target network."""

from typing import Any

from skorch.callbacks import Callback

from sklearn_byol.objective import learning_rate_at, momentum_at, update_target
from sklearn_byol.training._plan import Schedule

__all__ = ["Schedules"]


class Schedules(Callback):
    """Sets the learning rate before each step and moves the target network after it.

    Parameters
    ----------
    schedule : Schedule
        The largest learning rate, the momentum of the first step, and how many steps
        there are.
    sets_lr : bool, default=True
        Whether the learning rate is set; else it begins with the largest and is left
        to another callback.
    """

    def __init__(self, schedule: Schedule, *, sets_lr: bool = True) -> None:
        self.schedule = schedule
        self.sets_lr = sets_lr

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Find the weights that move."""
        self.theta_ = net.module_.online_parameters()
        self.xi_ = list(net.module_.target.parameters())

    def on_batch_begin(self, net: Any, **kw: Any) -> None:
        """Set the learning rate of this step."""
        if not self.sets_lr:
            return
        plan = self.schedule
        lr = learning_rate_at(net.step_, plan.n_steps, plan.n_warmup, plan.lr)
        for group in net.optimizer_.param_groups:
            group["lr"] = lr

    def on_batch_end(self, net: Any, **kw: Any) -> None:
        """Move the target network with the momentum of this step."""
        plan = self.schedule
        net.momentum_ = momentum_at(net.step_, plan.n_steps, plan.momentum)
        update_target(self.xi_, self.theta_, net.momentum_)
        net.step_ += 1
