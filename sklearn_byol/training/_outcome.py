"""How a training has ended: with weights that are numbers, and without collapse."""

from torch import nn

from sklearn_byol._warn import warn
from sklearn_byol.exceptions import CollapseWarning

__all__ = ["check_finite", "warn_if_collapsed"]

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
