"""The bar that verbose=1 shows."""

import math
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm

__all__ = ["ProgressBar"]


class ProgressBar(Callback):
    """A tqdm bar over all steps, with epoch, loss, spread and images per second.

    Parameters
    ----------
    n_steps : float
        Steps of the training; infinite if it has no end.
    n_epochs : int
        Epochs of it, so far if it has no end.
    """

    def __init__(self, n_steps: float, n_epochs: int) -> None:
        self.n_steps = n_steps
        self.n_epochs = n_epochs

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.n_steps if math.isfinite(self.n_steps) else None,
            initial=net.step_,
            unit="step",
            desc=f"epoch {len(net.history) + 1}/{self.n_epochs}",
        )

    def on_epoch_begin(self, net: Any, **kw: Any) -> None:
        """Say which epoch this is."""
        epoch = len(net.history)
        self.bar_.set_description(f"epoch {epoch}/{self.n_epochs}", refresh=False)

    def on_batch_end(self, net: Any, **kw: Any) -> None:
        """Advance by one step."""
        self.bar_.update()

    def on_epoch_end(self, net: Any, **kw: Any) -> None:
        """Show the figures of this epoch."""
        row = net.history[-1]
        self.bar_.set_postfix_str(
            f"loss {row['train_loss']:.3f}, spread {row['spread']:.2f}, "
            f"{row['images_per_second']:,.0f} images/s"
        )

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kw: Any) -> None:
        """Close the bar."""
        self.bar_.close()
