"""The layers of a module: what they are called in code, and what goes into them."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

N_LETTERS = 80  # of a layer, where it is named
# Of torch's layers; who wrote nothing else does not look for it.
DEFAULTS = (
    *("bias=True", "eps=1e-05", "momentum=0.1", "affine=True", "dilation=1"),
    *("track_running_stats=True", "padding=0", "ceil_mode=False"),
)
PARAMETRIZATIONS = "parametrizations"  # what torch puts below a layer for these


Axes = tuple[int, ...]


class Call(NamedTuple):
    """A module that was called, and the shape and type of what it was given, if any."""

    name: str
    module: nn.Module
    shape: Axes | None
    dtype: torch.dtype | None

    @property
    def has_weights(self) -> bool:
        """Whether the module has weights itself, besides those of modules in it."""
        if PARAMETRIZATIONS in self.name.split("."):
            return False  # they are those of the layer around it
        own = any(True for _ in self.module.parameters(recurse=False))
        return own or hasattr(self.module, PARAMETRIZATIONS)

    @property
    def is_layer(self) -> bool:
        """Whether the module has weights, and no modules in it."""
        inner = {name for name, _ in self.module.named_children()}
        return self.has_weights and inner <= {PARAMETRIZATIONS}


class Calls:
    """The modules that are called while a network runs: all, and those not done."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.not_done: list[Call] = []

    def begin(
        self, name: str, module: nn.Module, given: tuple[Any, ...], named: Any
    ) -> None:
        """Note what a module is given."""
        tensors = (it for it in (*given, *named.values()) if isinstance(it, Tensor))
        first = next(tensors, None)
        shape = None if first is None else tuple(first.shape)
        call = Call(name, module, shape, None if first is None else first.dtype)
        self.made.append(call)
        self.not_done.append(call)

    def end(self, module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        """Note that a module is done, and what it has called."""
        while self.not_done and self.not_done.pop().module is not module:
            pass


@contextmanager
def watched(network: nn.Module) -> Iterator[Calls]:
    """Note which modules of a network are called, by hooks that are gone after it."""
    calls, hooks = Calls(), []
    try:
        for name, module in network.named_modules():
            begin = functools.partial(calls.begin, name)
            hooks.append(module.register_forward_pre_hook(begin, with_kwargs=True))
            hooks.append(module.register_forward_hook(calls.end))
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def gray_images(network: nn.Module, shape: Axes) -> Tensor:
    """Return two gray images where the weights of a network are."""
    device = next(iter(network.state_dict().values()), torch.empty(0)).device
    return torch.full((2, *shape), 0.5, device=device)


def in_code(network: nn.Module, name: str) -> str:
    """Name a layer of an encoder as code does, such as encoder.classifier[1]."""
    path, parent = "encoder", network
    for part in name.split(".") if name else ():
        child = parent.get_submodule(part)
        if isinstance(parent, nn.ModuleDict):
            path += f"[{part!r}]"
        elif part.isidentifier():
            path += f".{part}"
        elif _is_at(parent, part, child):
            path += f"[{part}]"
        else:
            path += f".get_submodule({part!r})"
        parent = child
    return path


def in_words(module: nn.Module) -> str:
    """Describe a layer in a few words, without what all have."""
    if any(True for _ in module.children()):
        return type(module).__name__
    words = repr(module)
    for value in DEFAULTS:
        words = words.replace(f", {value}", "")
    return words if len(words) <= N_LETTERS else f"{words[: N_LETTERS - 4]}...)"


def _is_at(parent: nn.Module, part: str, child: nn.Module) -> bool:
    """Tell whether a module is in a list of modules at the place of its name."""
    if not isinstance(parent, (nn.Sequential, nn.ModuleList)):
        return False
    return int(part) < len(parent) and parent[int(part)] is child
