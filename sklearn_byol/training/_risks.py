"""What BYOL is known to collapse with, as far as it can be seen before training."""

from typing import Any

from torch import nn

from sklearn_byol._warn import warn
from sklearn_byol.exceptions import CollapseWarning

__all__ = ["warn_of_risks"]

SMALL_BATCH = 16
LARGE_ADAM_LR = 0.03


def warn_of_risks(
    encoder: nn.Module, optimizer: Any, lr: float, batch_size: int
) -> None:
    """Warn of settings that are known to collapse or to diverge.

    Parameters
    ----------
    encoder : nn.Module
        What is to be trained.
    optimizer, batch_size
        As in `BYOLTransformer`.
    lr : float
        The learning rate that is taken.

    Warns
    -----
    CollapseWarning
        Once for each risk: depthwise convolutions under Adam, batches of a few images,
        and a learning rate under Adam that was meant for LARS or SGD.
    """
    for risk in _risks(encoder, optimizer, lr, batch_size):
        warn(
            f"{risk} Training goes on; watch history_['spread']. Silence this by "
            "filtering sklearn_byol.exceptions.CollapseWarning.",
            CollapseWarning,
        )


def _risks(encoder: nn.Module, optimizer: Any, lr: float, batch_size: int) -> list[str]:
    """Say each risk in a sentence or two."""
    risks = []
    is_adam = (
        optimizer == "adamw" or "adam" in getattr(optimizer, "__name__", "").lower()
    )
    if is_adam and _is_depthwise(encoder):
        risks.append(
            "The encoder has depthwise convolutions, with which BYOL is known to "
            "collapse under Adam: try optimizer='lars' or 'sgd', or a residual network."
        )
    if is_adam and lr > LARGE_ADAM_LR:
        risks.append(
            f"lr={lr:g} is far above what Adam takes; was it meant for LARS or SGD? "
            "lr='auto' takes about 0.003."
        )
    if batch_size < SMALL_BATCH:
        risks.append(
            f"batch_size={batch_size} leaves batch norm, which keeps BYOL from "
            f"collapsing, few images to compare: take {SMALL_BATCH} or more."
        )
    return risks


def _is_depthwise(encoder: nn.Module) -> bool:
    """Tell whether most of the 3x3 and larger convolutions take one channel each."""
    spatial = [
        part
        for part in encoder.modules()
        if isinstance(part, nn.Conv2d) and max(part.kernel_size) > 1
    ]
    depthwise = [part for part in spatial if part.groups == part.in_channels > 1]
    return 2 * len(depthwise) > len(spatial)
