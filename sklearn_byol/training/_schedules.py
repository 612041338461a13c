"""What changes from step to step: learning rate, momentum, target network."""

from typing import Any

from skorch.callbacks import Callback

from sklearn_byol.objective import learning_rate_at, momentum_at, update_target

__all__ = ["Schedules"]


class Schedules(Callback):
    """Sets the learning rate before each step and moves the target network after it.

    Parameters
    ----------
    lr, momentum : float
        The largest learning rate, and the momentum of the first step.
    n_steps, n_warmup : int
        Steps of the whole training and of its warm-up.
    """

    def __init__(self, lr: float, momentum: float, n_steps: int, n_warmup: int) -> None:
        self.lr = lr
        self.momentum = momentum
        self.n_steps = n_steps
        self.n_warmup = n_warmup

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Start at step 0."""
        self.step_ = 0
        self.theta_ = net.module_.online_parameters()
        self.xi_ = list(net.module_.target.parameters())

    def on_batch_begin(self, net: Any, **kw: Any) -> None:
        """Set the learning rate of this step."""
        lr = learning_rate_at(self.step_, self.n_steps, self.n_warmup, self.lr)
        for group in net.optimizer_.param_groups:
            group["lr"] = lr

    def on_batch_end(self, net: Any, **kw: Any) -> None:
        """Move the target network with the momentum of this step."""
        net.momentum_ = momentum_at(self.step_, self.n_steps, self.momentum)
        update_target(self.xi_, self.theta_, net.momentum_)
        self.step_ += 1
