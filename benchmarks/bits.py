"""Digests of the weights of a handful of trainings, to compare two commits bit by bit.

Run it on one machine before and after a change that must not change what is learned:

    python benchmarks/bits.py > before.json

Two processes are launched by torchrun. Everything is float32 on one thread of a CPU.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer

N_DIGITS, N_COLOUR = 300, 160


def digest(fitted) -> str:
    """Name the weights and the history, but for times, by 16 hexadecimal digits."""
    found = hashlib.sha256()
    for name, tensor in fitted.encoder_.state_dict().items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensor.cpu().numpy()))
    for name, values in fitted.history_.items():
        if name not in {"seconds", "images_per_second"}:
            found.update(repr((name, values)).encode())
    return found.hexdigest()[:16]


def byol(**parameters) -> BYOLTransformer:
    """Make a transformer that trains the same everywhere."""
    given = {"max_epochs": 3, "batch_size": 64, "precision": "float32"}
    return BYOLTransformer(
        **given | parameters, device="cpu", random_state=0, hidden_dim=64
    )


def digits() -> np.ndarray:
    """Return small gray images."""
    return load_digits().data[:N_DIGITS]


def colour() -> np.ndarray:
    """Return images of 32 pixels in three colours."""
    images = np.random.default_rng(0).integers(0, 256, (N_COLOUR, 32, 32, 3))
    return images.astype(np.uint8)


def module(*, dropout: float = 0.0) -> nn.Module:
    """Build a network as a user would."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = OrderedDict(
            conv=nn.Conv2d(1, 16, 3, padding=1),
            norm=nn.BatchNorm2d(16),
            relu=nn.ReLU(),
            drop=nn.Dropout(dropout),
            pool=nn.AdaptiveAvgPool2d(2),
            flat=nn.Flatten(),
        )
    return nn.Sequential(layers)


class Stop(Callback):
    """Ends a training in the middle of its second epoch."""

    def on_batch_end(self, net, **kwargs) -> None:
        """Count steps."""
        self.n_ = getattr(self, "n_", 0) + 1
        if self.n_ == 7:
            raise RuntimeError("enough")


def partly() -> BYOLTransformer:
    """Train by three calls of partial_fit."""
    fitted = byol()
    for part in np.array_split(digits(), 3):
        fitted.partial_fit(part)
    return fitted


def resumed() -> BYOLTransformer:
    """End a training in the middle of an epoch, and go on from its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        saved = {"checkpoint": Path(folder) / "state", "checkpoint_minutes": 0}
        encoder = module(dropout=0.2)
        try:
            byol(encoder=encoder, callbacks=[Stop()], **saved).fit(digits())
        except RuntimeError:
            return byol(encoder=encoder, **saved).fit(digits())
    raise AssertionError("The training was not cut off.")


def warm() -> BYOLTransformer:
    """Train for longer."""
    fitted = byol(warm_start=True, max_epochs=2).fit(digits())
    return fitted.set_params(max_epochs=4).fit(digits())


def classifier(**parameters) -> BYOLClassifier:
    """Tune on some labels."""
    X, y = load_digits(return_X_y=True)
    few = np.where(np.arange(N_DIGITS) < 200, y[:N_DIGITS], -1)
    tuned = BYOLClassifier(byol(), random_state=0, max_epochs=3, **parameters)
    return tuned.fit(X[:N_DIGITS], few)


TRAININGS: dict[str, Callable[[], object]] = {
    "digits": lambda: byol().fit(digits()),
    "colour, 32 px": lambda: byol(max_epochs=2).fit(colour()),
    "a module": lambda: byol(encoder=module()).fit(digits()),
    "LARS": lambda: byol(optimizer="lars").fit(digits()),
    "SGD, views of a function": lambda: byol(
        optimizer="sgd", views=lambda x: (x + 0.1 * torch.rand_like(x)).clamp(0, 1)
    ).fit(digits()),
    "dropout": lambda: byol(encoder=module(dropout=0.3)).fit(digits()),
    "partial_fit": partly,
    "resumed in an epoch": resumed,
    "longer": warm,
    "a trained encoder": lambda: byol(
        encoder=byol(max_epochs=1).fit(digits()).encoder_
    ).fit(digits()),
    "classifier": classifier,
    "classifier, held out": lambda: classifier(early_stopping=True),
}


def launched() -> dict[str, str]:
    """Train in two processes, and compare what they have come to."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
                *("--master-port=29571", __file__, folder),
            ],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        found = {path.name: path.read_text() for path in sorted(Path(folder).iterdir())}
    return {f"two processes, {rank}": text for rank, text in found.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        text = digest(byol(encoder=module(dropout=0.2)).fit(digits()))
        Path(sys.argv[1], os.environ["RANK"]).write_text(text)
    else:
        digests = {name: digest(train()) for name, train in TRAININGS.items()}
        print(json.dumps({**digests, **launched()}, indent=1))
