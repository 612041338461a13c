"""In float16 the loss is scaled, so that small gradients do not vanish."""

import inspect

import torch
from torch.amp import GradScaler
from torch.optim import SGD, Optimizer

# Below torch's own, with which gradients of the first layer overflow at first; a
# training of a few hundred steps has none to lose.
FIRST_SCALE = 2.0**12
SMALLEST_SCALE = 2.0**-10


def make_scaler(precision: torch.dtype, optimizer: Optimizer) -> GradScaler:
    """Return what scales the loss in float16; in other types it does nothing.

    A step whose gradients overflow is left out, and the next ones are scaled less. The
    schedules go on, and so does the target network.
    """
    if precision != torch.float16:
        return GradScaler("cpu", enabled=False)
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            "In float16, which precision='auto' takes on GPUs without bfloat16, "
            "gradients are scaled. An optimizer that computes them several times in a "
            f"step, as {type(optimizer).__name__} does, cannot have that. Pass "
            "precision='float32'."
        )
    if isinstance(optimizer, SGD):
        _begin_momentum(optimizer)
    device = optimizer.param_groups[0]["params"][0].device
    return GradScaler(device.type, init_scale=FIRST_SCALE)


def _begin_momentum(optimizer: SGD) -> None:
    """Let sums of gradients begin at 0: without dampening that gives the same bits.

    SGD has none before its first step, and where that is left out, its fused kernel
    leaves them without values.
    """
    for group in optimizer.param_groups:
        if group["momentum"] and group["fused"]:
            for weight in group["params"]:
                zeros = torch.zeros_like(weight)
                optimizer.state[weight]["momentum_buffer"] = zeros


def check_scale(scaler: GradScaler) -> None:
    """Raise if steps are left out whatever the scale: gradients are no numbers."""
    scale = scaler.get_scale()
    if scaler.is_enabled() and scale < SMALLEST_SCALE:
        raise FloatingPointError(
            "Gradients overflow float16 in step after step, even with a scale of "
            f"{scale:.1e}. Pass precision='float32', or try a lower lr."
        )
