"""From X and the parameters of an estimator to a trained encoder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

from sklearn_byol.estimators._fingerprint import describe_parameters, fingerprint
from sklearn_byol.estimators._saving import EncoderSpecification
from sklearn_byol.exceptions import PoolWarning, warn
from sklearn_byol.images import (
    AllImages,
    Fitted,
    JoinedImages,
    Reader,
    Source,
    channel_statistics,
)
from sklearn_byol.model_selection import UnlabeledPool
from sklearn_byol.networks import is_complete, pretrained_start, representation_dim
from sklearn_byol.training import (
    Checkpoints,
    History,
    Plan,
    Processes,
    Schedule,
    State,
    Training,
    check_callbacks,
    draws_globally,
    join,
    resolve_device,
    run,
    seeded_torch,
    warn_of_risks,
)
from sklearn_byol.views import views_for

if TYPE_CHECKING:
    from sklearn_byol.estimators._transformer import BYOLTransformer


# What the networks and the state of the optimizer are made of.
OF_NETWORKS = (
    "encoder",
    "weights",
    "readout",
    "projection_dim",
    "hidden_dim",
    "optimizer",
)


@dataclass(frozen=True)
class Begun:
    """What an earlier training has left, and a later one goes on with.

    The state of the training is kept where a later call is to go on with it, arrays in
    place of its tensors; without it heads and optimizer begin anew.
    """

    encoder: nn.Sequential
    specification: EncoderSpecification
    networks: dict[str, str]
    fitted: Fitted
    n_iter: int
    state: State | None


@dataclass(frozen=True)
class Fit:
    """What a training has come to."""

    encoder: nn.Sequential
    specification: EncoderSpecification
    networks: dict[str, str]
    n_features_out: int
    fitted: Fitted
    files: list[str] | None
    skipped: list[str]
    views: Any
    schedule: Schedule
    history: History
    n_iter: int
    state: State | None


def fit_encoder(
    estimator: "BYOLTransformer",
    X: object,
    X_unlabeled: object = None,
    begun: Begun | None = None,
    *,
    is_partial: bool = False,
    look: Callable[[Source], None] | None = None,
) -> Fit:
    """Train an encoder by the parameters of an estimator, or train one further.

    What is partial has no end: it is one more epoch, at a constant learning rate. A
    function may look at the images of X once they are read, before any training.
    """
    estimator._validate_params()
    device = resolve_device(estimator.device)
    check_callbacks(estimator.callbacks)
    if begun is not None:
        _check_networks(estimator, begun)
    processes = join(device)
    source, images, skipped = _read(estimator, X, X_unlabeled, begun)
    if look is not None:
        look(source)
    fitted = source.fitted if begun is None else begun.fitted
    checkpoints = None if is_partial else _checkpoints(estimator, images)
    processes.check_same(lambda: _about(estimator, images, begun, device))
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    seed = processes.first(seed)
    with seeded_torch(seed):  # a callable may draw from torch's global state
        views, chosen = views_for(estimator.views, images.shape)
    encoder, specification = _encoder(estimator, images, begun, seed)
    kept = None if begun is None else begun.state
    n_kept = 0 if kept is None else len(kept["history"])
    n_epochs = n_kept + 1 if is_partial else None
    plan = _plan(estimator, encoder, images, fitted, n_epochs, device, seed, processes)
    training = Training(encoder, images.to(device), views, plan)
    goes_on = is_partial or estimator.warm_start
    # Copied, since a memory map may be read-only, and training may fail.
    kept = mapped(kept, np.ndarray, torch.tensor)
    history = run(training, checkpoints, kept, extends=goes_on)
    state = mapped(training.state(), torch.Tensor, as_array) if goes_on else None
    networks = describe_parameters(estimator, OF_NETWORKS)
    made = encoder, specification, networks, plan.representation_dim
    n_iter = len(training.net.history)
    return Fit(
        *made,
        fitted,
        source.files,
        skipped,
        chosen,
        plan.schedule,
        history,
        n_iter,
        state,
    )


def reader_of(byol: "BYOLTransformer", named: Any = None) -> Reader:
    """Read by the parameters of a transformer; errors name it, or another estimator."""
    estimator = byol if named is None else named
    return Reader(estimator, byol.image_shape, byol.n_jobs, byol.cache, byol.on_error)


def _read(
    estimator: "BYOLTransformer", X: object, X_unlabeled: object, begun: Begun | None
) -> tuple[Source, AllImages, list[str]]:
    """Read the images of fit and the pool, like those before if fit goes on."""
    reader = reader_of(estimator)
    source = reader.first(X) if begun is None else reader.next(X, begun.fitted)
    if X_unlabeled is None:
        return source, source.images, source.skipped
    pool = _read_pool(reader, X_unlabeled, source)
    images = JoinedImages([source.images, pool.images])
    return source, images, source.skipped + pool.skipped


def _read_pool(reader: Reader, X_unlabeled: object, source: Source) -> Source:
    """Read the pool, as X is read."""
    is_wrapped = isinstance(X_unlabeled, UnlabeledPool)
    given = X_unlabeled.X if is_wrapped else X_unlabeled  # type: ignore[attr-defined]
    try:
        pool = reader.more(given, source.fitted)
    except (ValueError, TypeError) as error:
        error.add_note("This is about X_unlabeled, which is read as X is.")
        raise
    if pool.n_given == source.n_given and not is_wrapped:
        warn(
            f"X_unlabeled has {pool.n_given} images, as many as X: if this is a fold "
            "of cross-validation, the pool has been cut like X. "
            "UnlabeledPool(X_unlabeled) keeps it whole, and silences this warning.",
            PoolWarning,
        )
    return pool


def _encoder(
    estimator: "BYOLTransformer", images: AllImages, begun: Begun | None, seed: int
) -> tuple[nn.Sequential, EncoderSpecification]:
    """Build the encoder, as it was left if there was one; say what it is built of."""
    if begun is not None:
        encoder = begun.specification.build(seed)
        encoder.load_state_dict(begun.encoder.state_dict())
        return encoder, begun.specification
    given = estimator.encoder, images.shape
    statistics = channel_statistics(images)
    start = None
    if estimator.weights is not None:
        with seeded_torch(seed):
            start = pretrained_start(
                *given, statistics, estimator.readout, estimator.weights
            )
        statistics = list(start.mean), list(start.std)
    keeps_stem = start is not None and start.keeps_stem
    specification = EncoderSpecification(
        *given, *statistics, estimator.readout, keeps_stem=keeps_stem
    )
    encoder = specification.build(seed)
    if start is not None:
        start.load(encoder)
    return encoder, specification


def _plan(
    estimator: "BYOLTransformer",
    encoder: nn.Sequential,
    images: AllImages,
    fitted: Fitted,
    n_epochs: int | None,
    device: torch.device,
    seed: int,
    processes: Processes,
) -> Plan:
    """Make "auto" numbers, and warn of what is known to go wrong with them."""
    with seeded_torch(seed):
        n_features_out = representation_dim(encoder, images.shape)
    plan = Plan.of(
        estimator,
        n_images=len(images),
        image_shape=images.shape,
        device=device,
        n_epochs=n_epochs,
        representation_dim=n_features_out,
        seed=seed,
        is_drawing=not isinstance(estimator.encoder, str) or draws_globally(encoder),
        is_pretrained=estimator.weights is not None or is_complete(estimator.encoder),
        read_images=lambda X: reader_of(estimator).stream(X, fitted)[:],
        processes=processes,
    )
    optimizer, lr = estimator.optimizer, plan.schedule.lr
    warn_of_risks(encoder, optimizer, lr, estimator.batch_size)
    return plan


def _check_networks(estimator: "BYOLTransformer", begun: Begun) -> None:
    """Refuse to go on with other networks than those that were trained."""
    for name, text in describe_parameters(estimator, OF_NETWORKS).items():
        if text != begun.networks[name]:
            raise ValueError(
                f"{name} was {begun.networks[name]} when training began and is {text} "
                "now. To go on, put it back; to begin anew, call fit with "
                "warm_start=False, or clone the estimator."
            )


def _about(
    estimator: "BYOLTransformer",
    images: AllImages,
    begun: Begun | None,
    device: torch.device,
) -> dict[str, str]:
    """Describe all that processes which train together have to agree on."""
    names = ("checkpoint", "checkpoint_minutes", "warm_start")
    return {
        **fingerprint(estimator, images),
        **describe_parameters(estimator, names),
        "n_iter_": str(0 if begun is None else begun.n_iter),
        "the kind of device": device.type,
    }


def _checkpoints(estimator: "BYOLTransformer", images: AllImages) -> Checkpoints | None:
    """Say where the state of this training is kept."""
    if estimator.checkpoint is None:
        return None
    if not os.fspath(estimator.checkpoint):
        raise ValueError("checkpoint must be None or name a folder. Got ''.")
    return Checkpoints(
        Path(estimator.checkpoint).expanduser(),
        float(estimator.checkpoint_minutes),
        fingerprint(estimator, images),
    )


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
