"""From images and parameters to an encoder that is trained, or trained further."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from sklearn_byol._fingerprint import describe_parameters, fingerprint
from sklearn_byol._persistence import EncoderSpecification, encoder_arrays
from sklearn_byol._reading import AllImages, ReadsImages
from sklearn_byol.images import channel_statistics
from sklearn_byol.networks import (
    is_complete,
    pretrained_start,
    representation_dim,
)
from sklearn_byol.training import (
    Checkpoints,
    State,
    Training,
    TrainingSettings,
    check_callbacks,
    draws_globally,
    join,
    resolve_device,
    seeded_torch,
    warn_of_risks,
)
from sklearn_byol.views import views_for

__all__ = ["TrainsEncoder"]

# What the networks and the state of the optimizer are made of.
OF_NETWORKS = (
    "encoder",
    "weights",
    "readout",
    "projection_dim",
    "hidden_dim",
    "optimizer",
)


class TrainsEncoder(ReadsImages):
    """Trains `encoder_` by the parameters of the estimator.

    Where a later call is to go on, the state of the training is kept as `_state`,
    arrays in place of its tensors. Without it heads and optimizer begin anew.
    """

    checkpoint: str | os.PathLike[str] | None
    encoder_: Any
    _state: State

    def _forget(self) -> None:
        """Leave nothing of an earlier fit behind, whatever fails from here on."""
        for name in list(vars(self)):
            if name.endswith("_") or name in {"_arrays", "_state"}:
                delattr(self, name)

    def _train(self, X: Any, X_unlabeled: Any = None, *, is_partial: bool) -> None:
        """Train from the start, or from where the last training stood."""
        estimator: Any = self
        estimator._validate_params()  # noqa: SLF001  scikit-learn's
        device = resolve_device(estimator.device)
        check_callbacks(estimator.callbacks)
        goes_on = hasattr(self, "encoder_")
        if goes_on:
            self._check_networks()
        processes = join(device)
        images = self._read(X, X_unlabeled, goes_on=goes_on)
        checkpoints = None if is_partial else self._checkpoints(images)
        processes.check_same(lambda: self._about(images, device))
        seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
        seed = processes.first(seed)
        with seeded_torch(seed):  # a callable may draw from torch's global state
            views, self.views_ = views_for(estimator.views, images.shape)
        encoder = self._go_on(seed) if goes_on else self._begin(images, seed)
        with seeded_torch(seed):
            self._n_features_out = representation_dim(encoder, images.shape)
        settings = TrainingSettings.of(
            estimator,
            n_images=len(images),
            image_shape=images.shape,
            representation_dim=self._n_features_out,
            device=device,
            seed=seed,
            is_drawing=not isinstance(estimator.encoder, str)
            or draws_globally(encoder),
            is_pretrained=estimator.weights is not None
            or is_complete(estimator.encoder),
            n_epochs=self._n_kept() + 1 if is_partial else None,
            checkpoints=checkpoints,
            read_images=lambda X: self._reader().stream(X, self._fitted)[:],
            processes=processes,
        )
        lr = settings.schedule.lr
        warn_of_risks(encoder, estimator.optimizer, lr, estimator.batch_size)
        training = Training(encoder, images.to(device), views, settings)
        self._run(training, keeps_state=is_partial or estimator.warm_start)

    def _begin(self, images: AllImages, seed: int) -> nn.Sequential:
        """Build the encoder, and note what all later training has to agree with."""
        estimator: Any = self
        given = estimator.encoder, images.shape
        statistics = channel_statistics(images)
        start = None
        if estimator.weights is not None:
            with seeded_torch(seed):
                start = pretrained_start(
                    *given, statistics, estimator.readout, estimator.weights
                )
            statistics = list(start.mean), list(start.std)
        self._specification = EncoderSpecification(
            *given,
            *statistics,
            estimator.readout,
            keeps_stem=start is not None and start.keeps_stem,
        )
        encoder = self._specification.build(seed)
        self._networks = describe_parameters(estimator, OF_NETWORKS)
        if start is not None:
            start.load(encoder)
        return encoder

    def _n_kept(self) -> int:
        """Count the epochs of the state that is kept."""
        return len(self._state["history"]) if hasattr(self, "_state") else 0

    def _go_on(self, seed: int) -> nn.Sequential:
        """Build the encoder as it was left."""
        encoder = self._specification.build(seed)
        encoder.load_state_dict(self.encoder_.state_dict())
        return encoder

    def _check_networks(self) -> None:
        """Refuse to go on with other networks than those that were trained."""
        for name, text in describe_parameters(self, OF_NETWORKS).items():
            if text != self._networks[name]:
                raise ValueError(
                    f"{name} was {self._networks[name]} when training began and is "
                    f"{text} now. To go on, put it back; to begin anew, call fit with "
                    "warm_start=False, or clone the estimator."
                )

    def _about(self, images: AllImages, device: torch.device) -> dict[str, str]:
        """Describe all that processes which train together have to agree on."""
        names = ("checkpoint", "checkpoint_minutes", "warm_start")
        return {
            **fingerprint(self, images),
            **describe_parameters(self, names),
            "n_iter_": str(getattr(self, "n_iter_", 0)),
            "the kind of device": device.type,
        }

    def _checkpoints(self, images: AllImages) -> Checkpoints | None:
        """Say where the state of this training is kept."""
        estimator: Any = self
        if estimator.checkpoint is None:
            return None
        if not os.fspath(estimator.checkpoint):
            raise ValueError("checkpoint must be None or name a folder. Got ''.")
        return Checkpoints(
            Path(estimator.checkpoint).expanduser(),
            float(estimator.checkpoint_minutes),
            fingerprint(estimator, images),
        )

    def _run(self, training: Training, *, keeps_state: bool) -> None:
        """Train, and keep what comes out of it."""
        with ExitStack() as held:
            self._resume(training, held, keeps_state=keeps_state)
            self.history_ = training.run()
        for name in ("lr", "weight_decay", "momentum", "warmup_epochs"):
            setattr(self, f"{name}_", getattr(training.settings.schedule, name))
        self.n_iter_ = len(training.net.history)
        self.encoder_ = training.encoder
        self._arrays = encoder_arrays(self.encoder_, {})
        if keeps_state:
            self._state = mapped(training.state(), torch.Tensor, as_array)

    def _resume(
        self, training: Training, held: ExitStack, *, keeps_state: bool
    ) -> None:
        """Go back to the newest state, in a file or kept; hold the folder."""
        checkpoints, state = training.settings.checkpoints, None
        if checkpoints is not None:

            def take() -> State | None:
                held.enter_context(checkpoints.locked())
                return checkpoints.newest()

            state = training.settings.processes.ask_first(take)
        kept = getattr(self, "_state", None)
        if kept is not None and (state is None or state["step"] <= kept["step"]):
            # Copied, since a memory map may be read-only, and training may fail.
            training.load(mapped(kept, np.ndarray, torch.tensor))
        elif checkpoints is not None and state is not None:
            checkpoints.restore(training, state)
        if keeps_state and (kept is not None or state is not None):
            training.extend()


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Take a tensor to the memory of the CPU, where it may share it."""
    return tensor.detach().cpu().numpy()


def mapped(tree: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Apply a function to all values of a kind in nested dicts and lists."""
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, dict):
        return {key: mapped(value, kind, function) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [mapped(value, kind, function) for value in tree]
    return tree
