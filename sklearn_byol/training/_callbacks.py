"""What is skorch's: callbacks of the user, the net that they look at, and the bar."""

import io
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

from sklearn_byol.training._device import represent
from sklearn_byol.training._history import plain
from sklearn_byol.training._plan import Settings
from sklearn_byol.training._unit_variance import with_unit_variance

N_AT_ONCE = 256  # images that callbacks have encoded at a time
BAR = "bar"
N_LINES = 10  # that a bar is in a log, at most, after that of the first epoch
SECONDS = 5.0  # between two of them, at least
NUMBERS = ("misses_", "dynamic_threshold_", "best_epoch_")
WEIGHTS = "best_model_weights_"

# What the bar shows of a row of the history.
SHOWN = {
    "train_loss": "loss {:.3f}",
    "spread": "spread {:.2f}",
    "images_per_second": "{:,.0f} images/s",
    "encoder_lr": "encoder_lr {:.1e}",
    "validation_score": "validation_score {:.3f}",
}

CONTAINERS = (list, tuple, dict)  # that callbacks are looked for in, and put into

NamedCallbacks = Iterable[tuple[str, Callback]]
One: TypeAlias = Callback | type[Callback]
Given = Sequence[One | tuple[str, One | None]]


def check_callbacks(callbacks: Given | None) -> None:
    """Refuse what is no callback of skorch's, or pair of a name of its own and one."""
    for callback in callbacks or ():
        is_pair = isinstance(callback, tuple) and len(callback) == 2
        pair: Any = callback if is_pair else ("", callback)
        name, given = pair
        is_one = is_callback(given) or (is_pair and given is None)
        if not (isinstance(name, str) and is_one):
            raise TypeError(
                "callbacks must be instances of skorch.callbacks.Callback, or classes "
                "of them, or pairs of a name and one of these, or of a name and None. "
                f"Got {callback!r}."
            )
    names = [name for name, _ in named(callbacks)]
    for name in names:
        if name == BAR or names.count(name) > 1 or "__" in name:
            raise ValueError(
                f"callbacks must have names of their own, and none of {BAR}. Got "
                f"{name!r}; pass another name, without two underscores."
            )


def is_callback(given: object) -> bool:
    """Tell whether this is a callback of skorch's, or a class of them."""
    is_kind = isinstance(given, type) and issubclass(given, Callback)
    return is_kind or isinstance(given, Callback)


def named(callbacks: Given | None) -> list[tuple[str, One | None]]:
    """Name callbacks as skorch does: by class, numbered where several are of one."""
    own = [
        one.__name__ if isinstance(one, type) else type(one).__name__
        for one in callbacks or ()
        if not isinstance(one, tuple)
    ]
    numbers = {name: itertools.count(1) for name in own if own.count(name) > 1}
    pairs: list[tuple[str, One | None]] = []
    for given in callbacks or ():
        if isinstance(given, tuple):
            pairs.append(given)
            continue
        name = given.__name__ if isinstance(given, type) else type(given).__name__
        if name in numbers:
            name = f"{name}_{next(numbers[name])}"
        pairs.append((name, given))
    return pairs


def made_anew(
    callbacks: Sequence[One | None], copy: Callable[[Any], Any] = lambda value: value
) -> list[One | None]:
    """Make callbacks of the same parameters, or of copies, and classes as they are.

    One that cannot be made so stays, such as one with a list that it makes in
    `__init__`, and so do those that it refers to. Those that are parameters of others
    are made once.
    """
    staying = [
        it
        for it in callbacks
        if isinstance(it, Callback) and (not _is_made(it) or _is_in_ring(it))
    ]
    for one in staying:  # which grows
        kept = {id(it) for it in staying}
        staying += [it for it in _inside(vars(one)) if id(it) not in kept]
    made: dict[int, Callback] = {id(one): one for one in staying}
    known = {id(one) for one in callbacks}

    def swap(value: Any) -> Any:
        """Put what is made in the place of callbacks, and copies in that of others."""
        if id(value) in known and isinstance(value, Callback):
            return make(value)
        if not (type(value) in CONTAINERS and _inside([value])):
            return copy(value)
        if isinstance(value, dict):
            return {key: swap(part) for key, part in value.items()}
        return type(value)(map(swap, value))

    def make(callback: Callback) -> Callback:
        if id(callback) not in made:
            parameters = callback.get_params(deep=False)
            given = {name: swap(value) for name, value in parameters.items()}
            made[id(callback)] = type(callback)(**given)
        return made[id(callback)]

    return [make(one) if isinstance(one, Callback) else one for one in callbacks]


def _is_made(callback: Callback) -> bool:
    """Tell whether a callback of the same parameters is the same."""
    parameters = callback.get_params(deep=False)
    try:
        held = type(callback)(**parameters).get_params(deep=False)
        return held.keys() == parameters.keys() and all(
            held[name] is value or bool(held[name] == value)
            for name, value in parameters.items()
        )
    except Exception:  # noqa: BLE001  of the user's own code
        return False


def _inside(held: Any, seen: set[int] | None = None) -> list[Callback]:
    """List the callbacks that a container or the attributes of an object hold."""
    seen = set() if seen is None else seen
    found: list[Callback] = []
    for value in held.values() if isinstance(held, dict) else held:
        if isinstance(value, Callback):
            found.append(value)
        elif isinstance(value, list | tuple | dict) and id(value) not in seen:
            seen.add(id(value))
            found += _inside(value, seen)
    return found


def _is_in_ring(callback: Callback) -> bool:
    """Tell whether a callback refers to itself, or to one that refers to it."""
    reached = _inside(vars(callback))
    for other in reached:  # which grows
        known = {id(it) for it in reached}
        reached += [it for it in _inside(vars(other)) if id(it) not in known]
    return any(other is callback for other in reached)


def callbacks_of(settings: Settings, bar: "ProgressBar") -> list[tuple[str, Callback]]:
    """Make the callbacks of a training, with the bar behind them if it is to be shown.

    They share what the user's were made with, such as a writer to a log. Where many
    processes train, only the first has those that show or write something.
    """
    pairs = named(settings.callbacks)
    names = [name for name, _ in pairs]
    given = [callback for _, callback in pairs]
    ran: list[tuple[str, Callback]] = []
    for name, made in zip(names, made_anew(given), strict=True):
        if made is None:
            continue
        callback = made() if isinstance(made, type) else made
        is_logger = type(callback).__module__ == "skorch.callbacks.logging"
        is_for_all = not (is_logger or isinstance(callback, Checkpoint))
        if settings.is_first or is_for_all:
            ran.append((name, callback))
    return [*ran, (BAR, bar)] if settings.verbose and settings.is_first else ran


def check_monitors(callbacks: NamedCallbacks, row: dict[str, Any]) -> None:
    """Refuse callbacks that monitor what a row of the history does not have."""
    for name, callback in callbacks:
        # That of optuna's is private.
        hidden = getattr(callback, "_monitor", None)
        monitor = getattr(callback, "monitor", hidden)
        if isinstance(monitor, str) and monitor not in row:
            names = ", ".join(sorted(set(row) - {"batches", "epoch"}))
            none = "" if "validation_score" in row else "; there is no validation set"
            raise ValueError(
                f"{type(callback).__name__} ({name!r} in callbacks) monitors "
                f"{monitor!r}, which nothing writes to the history. It has {names}"
                f"{none}. ProbeCallback, before it in callbacks, writes 'knn_accuracy'."
            )


def save_stopping(callbacks: NamedCallbacks) -> list[dict[str, Any]]:
    """Return how long each EarlyStopping has waited, and its best weights if kept."""
    return [
        plain({name: getattr(callback, name) for name in NUMBERS})
        | {WEIGHTS: callback.best_model_weights_}
        for callback in _stoppers(callbacks)
    ]


def load_stopping(callbacks: NamedCallbacks, states: Sequence[dict[str, Any]]) -> None:
    """Let each EarlyStopping go on waiting, if they are as many as they were."""
    stoppers = _stoppers(callbacks)
    if len(stoppers) == len(states):
        for callback, state in zip(stoppers, states, strict=True):
            vars(callback).update(state)


def _stoppers(callbacks: NamedCallbacks) -> list[EarlyStopping]:
    """Choose those that have begun to count."""
    return [
        callback
        for _, callback in callbacks
        if isinstance(callback, EarlyStopping) and hasattr(callback, "best_epoch_")
    ]


class Net(NeuralNet):
    """A net of skorch's with history, optimizer, modules and callbacks.

    Steps are counted in `step_`; `momentum_` is that of the last one. `read_images_`
    turns what transform takes into images, and `represent_` images into rows.
    """

    step_: int
    momentum_: float
    read_images_: Callable[[object], Tensor] | None
    represent_: Callable[[Tensor], NDArray[np.float32]]

    _default_callbacks: ClassVar[list[Any]] = []

    def initialize_optimizer(self, triggered_directly: None = None) -> Self:
        """Take the optimizer as it is."""
        self.optimizer_ = self.optimizer
        return self


def make_net(
    network: nn.Module,
    optimizer: Optimizer,
    encoder: nn.Module,
    n_dims: int,
    settings: Settings,
    n_steps: float,
    prefix: str = "",
) -> Net:
    """Build a net around a network; its encoder makes rows of `n_dims` numbers.

    The bar counts to `n_steps`, infinite where training has no end, behind a prefix.
    """
    bar = ProgressBar(n_steps, settings.max_epochs, prefix)
    net: Net = Net(
        network,
        criterion=nn.Identity,  # has no part in it
        train_split=None,
        verbose=0,
        optimizer=optimizer,
        lr=optimizer.param_groups[-1].get("lr"),
        device=str(settings.device),
        callbacks=callbacks_of(settings, bar),
    ).initialize()
    net.step_, net.momentum_, net.read_images_ = 0, 1.0, settings.read_images

    def encoded(images: Tensor) -> NDArray[np.float32]:
        """Encode images (n, n_channels, height, width) in [0, 1]."""
        parts = torch.arange(len(images)).split(N_AT_ONCE)
        batches = ((part.numpy(), images[part]) for part in parts)
        shape = len(images), n_dims
        rows = represent(encoder, batches, shape, settings.device)
        return with_unit_variance(encoder, rows)

    net.represent_ = encoded
    return net


class Nowhere(io.TextIOBase):
    """A file that keeps nothing of what is written."""

    def write(self, text: str) -> int:
        """Drop a text."""
        return len(text)


class ProgressBar(Callback):
    """A tqdm bar over all steps, with the epoch and some of its figures.

    Where stderr is no terminal and no notebook, as in a log, it is a few lines: after
    the first epoch, the last, and each tenth of all that takes seconds.
    """

    def __init__(self, n_steps: float, n_epochs: int, prefix: str) -> None:
        self.n_steps, self.n_epochs, self.prefix = n_steps, n_epochs, prefix

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Open the bar."""
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self.is_log_ = not (issubclass(tqdm, tqdm_notebook) or is_terminal)
        self.told_ = 0.0  # seconds since the beginning
        self.bar_ = tqdm(
            total=self.n_steps if math.isfinite(self.n_steps) else None,
            initial=net.step_,
            unit="step",
            desc=self._title(len(net.history) + 1),
            file=Nowhere() if self.is_log_ else None,
        )

    def on_epoch_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Say which epoch this is."""
        self.bar_.set_description(self._title(len(net.history)), refresh=False)

    def on_batch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Advance by one step."""
        self.bar_.update()

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Show the figures of this epoch."""
        row = net.history[-1]
        shown = [text.format(row[name]) for name, text in SHOWN.items() if name in row]
        self.bar_.set_postfix_str(", ".join(shown))
        if self.is_log_ and not self.bar_.disable and self._is_told(len(net.history)):
            print(self.bar_, file=sys.stderr, flush=True)  # noqa: T201  of verbose

    def on_train_end(self, net: NeuralNet, **kwargs: object) -> None:
        """Close the bar, if it was opened."""
        if hasattr(self, "bar_"):
            self.bar_.close()

    def _is_told(self, epoch: int) -> bool:
        """Tell whether a log gets a line: first, last, a tenth that took its time."""
        n = self.n_epochs
        is_tenth = epoch * N_LINES // n > (epoch - 1) * N_LINES // n
        elapsed = self.bar_.format_dict["elapsed"]
        is_told = epoch in {1, n} or (is_tenth and elapsed - self.told_ > SECONDS)
        self.told_ = elapsed if is_told else self.told_
        return is_told

    def _title(self, epoch: int) -> str:
        """Say which epoch of how many this is."""
        return f"{self.prefix}epoch {epoch}/{self.n_epochs}"
