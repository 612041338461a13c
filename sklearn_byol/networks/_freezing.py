"""Layers that stay as they are, to the bit, while the others learn."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from numbers import Integral

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

Freeze = int | str | Sequence[str] | None

N_NAMED = 8  # layers that an error names


class Frozen:
    """The layers of a network that are not to learn, until they are thawed.

    Those of a user's own, whose parameters ask for no gradient, are among them.
    """

    def __init__(self, network: nn.Module, freeze: Freeze, prefix: str = "") -> None:
        """Freeze layers: by their names, or the first ones by their number."""
        chosen = _chosen(network, freeze)
        layers = [network.get_submodule(name) for name in chosen[0]]
        parameters = [p for layer in layers for p in layer.parameters()]
        own = dict(network.named_parameters(remove_duplicate=False))
        parameters += [own[name] for name in chosen[1]]
        self._thawed = [p for p in parameters if p.requires_grad]
        for parameter in self._thawed:
            parameter.requires_grad_(False)
        names = {*chosen[0], *_without_gradients(network)}
        names |= _between(network)
        self.names = [
            ".".join(filter(None, (prefix, name)))
            for name, _ in network.named_modules()
            if name in names and not any(above in names for above in _above(name))
        ]

    def thaw(self) -> None:
        """Let parameters ask for gradients that did so before."""
        for parameter in self._thawed:
            parameter.requires_grad_(True)


def hold(network: nn.Module, names: Sequence[str]) -> None:
    """Put layers into evaluation mode, in which batch norm keeps its statistics."""
    for name in names:
        network.get_submodule(name).eval()


def _chosen(network: nn.Module, freeze: Freeze) -> tuple[list[str], list[str]]:
    """Return the names of the modules that are chosen, and of further parameters."""
    if freeze is None:
        return [], []
    _check(freeze)
    every = network.named_modules(remove_duplicate=False)
    modules = [name for name, _ in every if name]
    if isinstance(freeze, int | Integral):
        return _first(network, int(freeze))
    patterns = [freeze] if isinstance(freeze, str) else [*freeze]
    named = network.named_parameters(remove_duplicate=False)
    parameters = [name for name, _ in named]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in modules + parameters):
            children = [repr(name) for name, _ in network.named_children()]
            more = ", ..." if len(children) > N_NAMED else ""
            raise ValueError(
                f"freeze={pattern!r} names no layer of the encoder, which consists of "
                f"{', '.join(children[:N_NAMED])}{more}. Pass names of layers, at any "
                "depth, or patterns such as 'layer[12]*'."
            )
    found_in, found = (
        [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
        for names in (modules, parameters)
    )
    return found_in, found


def _check(freeze: object) -> None:
    """Refuse what is neither a number nor one name or more."""
    names = freeze if isinstance(freeze, list | tuple) else [freeze]
    are_names = all(isinstance(name, str) for name in names)
    is_count = isinstance(freeze, int | Integral) and not isinstance(freeze, bool)
    if not (are_names or is_count):
        raise TypeError(
            "freeze must be a number of layers, the name or a pattern of names of "
            f"layers, or a list of names. Got {freeze!r}."
        )


def _first(network: nn.Module, n_layers: int) -> tuple[list[str], list[str]]:
    """Return the first layers, or all but the last ones, and further parameters."""
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if _has_weights(module) and "parametrizations" not in name.split(".")
    ]
    if abs(n_layers) > len(layers):
        raise ValueError(
            f"freeze={n_layers} counts more layers than the encoder has: "
            f"{len(layers)} have weights of their own, which is what is counted."
        )
    whole, parameters = [], []
    for name, module in layers[:n_layers]:
        if name and _is_leaf(module):
            whole.append(name)
            continue
        own = (key for key, _ in module.named_parameters(recurse=False))
        parameters += [".".join(filter(None, (name, key))) for key in own]
    return whole, parameters


def _has_weights(module: nn.Module) -> bool:
    """Tell layers with weights of their own, which may be computed from others."""
    return bool([*module.parameters(recurse=False)]) or is_parametrized(module)


def _is_leaf(module: nn.Module) -> bool:
    """Tell whether a module holds no other layers."""
    return {name for name, _ in module.named_children()} <= {"parametrizations"}


def _without_gradients(network: nn.Module) -> list[str]:
    """Name the modules that have parameters, none of which asks for a gradient."""
    return [
        name
        for name, module in network.named_modules()
        if [*module.parameters()]
        and not any(p.requires_grad for p in module.parameters())
    ]


def _between(network: nn.Module) -> set[str]:
    """Name layers of statistics alone that lie between layers that are frozen."""
    found: set[str] = set()
    waiting: list[str] = []
    was_frozen = False
    for name, module in network.named_modules():
        own = [*module.parameters(recurse=False)]
        if own:
            is_frozen = not any(p.requires_grad for p in own)
            if was_frozen and is_frozen:
                found.update(waiting)
            was_frozen, waiting = is_frozen, []
        elif _is_leaf(module) and [*module.buffers(recurse=False)]:
            waiting.append(name)
    return found


def _above(name: str) -> list[str]:
    """Name what a module lies in, the whole network last."""
    parts = name.split(".") if name else []
    return [".".join(parts[:depth]) for depth in range(len(parts))]
