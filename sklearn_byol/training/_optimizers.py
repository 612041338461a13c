"""Optimizers by name: AdamW, SGD with momentum, and LARS."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

REFERENCE_BATCH = 128  # images of a step that the learning rates are meant for

# Learning rate and decay of each optimizer. Adam's steps do not grow with the gradient,
# so its learning rate follows the root of the batch size, the others' the batch size.
AUTO_LR = {"adamw": 3e-3, "sgd": 0.06, "lars": 0.5}
AUTO_WEIGHT_DECAY = {"adamw": 1e-4, "sgd": 1e-4, "lars": 1e-6}
TRUST_COEFFICIENT = 1e-3  # of LARS, as in the reference implementation

MakesOptimizer = Callable[..., Optimizer]


class LARS(Optimizer):
    """SGD with momentum whose steps are as long as each weight tensor allows.

    The gradient of a weight tensor, decay included, is scaled to a thousandth of the
    length of the tensor itself, which keeps batches of thousands of images
    stable. Biases and norm parameters (fewer than two axes) are not scaled, as in the
    reference implementation of BYOL. In the paper lr is 0.2 times batch_size / 256.

    You et al. (2017), Large batch training of convolutional networks, arXiv 1708.03888.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step_weight(weight, group)
        return loss

    def _step_weight(self, weight: Tensor, group: dict[str, Any]) -> None:
        """Scale the gradient, add it to the running sum of gradients, and step."""
        gradient = weight.grad.add(weight, alpha=group["weight_decay"])  # type: ignore[union-attr]
        if weight.ndim > 1:
            lengths = weight.norm(), gradient.norm()
            ratio = TRUST_COEFFICIENT * lengths[0] / lengths[1]
            is_usual = (lengths[0] > 0) & (lengths[1] > 0)
            gradient *= torch.where(is_usual, ratio, 1.0)
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        total = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        weight.add_(total, alpha=-group["lr"])


# What each name stands for, and what it is built with besides lr and weight decay.
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
    "lars": (LARS, {}),
}


def auto_lr(optimizer: str | MakesOptimizer, batch: float) -> float:
    """Scale the learning rate of an optimizer to the images of a step."""
    if not isinstance(optimizer, str):
        raise ValueError(
            f"lr='auto' is known for {', '.join(map(repr, AUTO_LR))} only. Pass a "
            f"number with optimizer={optimizer!r}."
        )
    scale = batch / REFERENCE_BATCH
    return AUTO_LR[optimizer] * (math.sqrt(scale) if optimizer == "adamw" else scale)


def make_optimizer(
    optimizer: str | MakesOptimizer,
    module: nn.Module,
    lr: float,
    weight_decay: float,
    slower: tuple[nn.Module, float] | None = None,
) -> Optimizer:
    """Build an optimizer over the trainable parameters of a module.

    A part of it may have a learning rate of its own, in groups that come last. A
    callable is called with groups of parameters, `lr` and `weight_decay`.
    """
    groups = parameter_groups(module, weight_decay)
    if slower is not None:
        part, part_lr = slower
        groups = _apart(groups, set(part.parameters()), part_lr, part_lr / lr)
    if isinstance(optimizer, str):
        kind, options = OPTIMIZERS[optimizer]
        if kind is not LARS:
            devices = {weight.device.type for weight in module.parameters()}
            options = {**options, "fused": devices <= {"cpu", "cuda"}}
        return kind(groups, lr=lr, weight_decay=weight_decay, **options)  # type: ignore[call-arg]
    return _called(optimizer, groups, lr, weight_decay)


def _called(
    optimizer: MakesOptimizer,
    groups: list[dict[str, Any]],
    lr: float,
    weight_decay: float,
) -> Optimizer:
    """Call what makes an optimizer, and check what it returns."""
    try:
        made = optimizer(groups, lr=lr, weight_decay=weight_decay)
    except Exception as error:
        error.add_note(
            f"This is about {optimizer=!r}, called with groups of parameters, lr and "
            "weight_decay."
        )
        raise
    if not isinstance(made, Optimizer):
        raise TypeError(
            f"optimizer={optimizer!r} must return a torch.optim.Optimizer when called "
            f"with parameters, lr and weight_decay. It returned {made!r}."
        )
    wanted, kept = (
        [group["lr"] for group in some if group.get("lr_scale", 1) != 1]
        for some in (groups, made.param_groups)
    )
    if len(kept) < len(wanted):
        raise ValueError(
            f"optimizer={optimizer!r} must keep the groups of parameters that it is "
            f"called with, since encoder_lr={wanted[0]:g} is of some of them and "
            f"lr={lr:g} of others. Hand them on as they are, or pass encoder_lr={lr:g}."
        )
    return made


# What a loaded group keeps of its own.
OWN = ("weight_decay", "fused", "lr_scale", "largest_lr")


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimizer, each tensor laid out as its parameter is.

    The fused optimizers go through the memory of both side by side. The decay of the
    weights and the share of the learning rate stay what they are, and so does whether
    the device has a fused step.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [
        saved | {key: own[key] for key in OWN if key in own} for saved, own in pairs
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                values[name] = torch.empty_like(weight).copy_(value)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters: weights decay, biases and norm parameters do not.

    Told by type, not by name: every bias and every parameter with fewer than two axes,
    among them all of batch norm's.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _apart(
    groups: list[dict[str, Any]], part: set[nn.Parameter], lr: float, lr_scale: float
) -> list[dict[str, Any]]:
    """Split each group into what is no parameter of a part, and what is one."""
    rest = [
        {**group, "params": [p for p in group["params"] if p not in part]}
        for group in groups
    ]
    own = [
        {
            **group,
            "params": [p for p in group["params"] if p in part],
            "lr": lr,
            "lr_scale": lr_scale,
        }
        for group in groups
    ]
    return [group for group in rest + own if group["params"]]
