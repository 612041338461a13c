"""From X and the parameters of an estimator to a trained encoder."""

import copy
import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sklearn_byol.estimators._fingerprint import describe_parameters, fingerprint
from sklearn_byol.estimators._first_encoder import (
    check_start,
    first_encoder,
    knows_images,
)
from sklearn_byol.exceptions import EncoderWarning, PoolWarning, warn
from sklearn_byol.images._containers import AllImages, JoinedImages
from sklearn_byol.images._pixel_range import Fitted
from sklearn_byol.images._reader import Reader, Source
from sklearn_byol.model_selection import UnlabeledPool
from sklearn_byol.networks._encoders import (
    SMALLEST,
    EncoderSpecification,
    check_view_shape,
    representation_dim,
)
from sklearn_byol.networks._freezing import Frozen
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.networks._inputs import (
    ImageShape,
    resized_shape,
)
from sklearn_byol.training._callbacks import BAR, Net, check_callbacks
from sklearn_byol.training._checkpoints import Checkpoints, State, as_arrays, state_of
from sklearn_byol.training._device import (
    batches_advice,
    device_or_best,
    draws_globally,
    represent,
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._health import check_health
from sklearn_byol.training._history import History
from sklearn_byol.training._plan import Plan, warn_of_risks
from sklearn_byol.training._processes import Processes, join
from sklearn_byol.training._run import run
from sklearn_byol.training._sample import give_unit_variance
from sklearn_byol.training._training import Training
from sklearn_byol.training._trust_region import settle
from sklearn_byol.views._geometry import view_size
from sklearn_byol.views._pair import views_for, with_size
from sklearn_byol.views._presets import preset_for
from sklearn_byol.views._random_views import RandomViews

if TYPE_CHECKING:
    from sklearn_byol.estimators._base import BYOLEstimator
    from sklearn_byol.estimators._transformer import BYOLTransformer


Rows = NDArray[np.float32]  # (n_images, n_dims)

STRONG = {"natural", "gray"}  # presets that "auto" may take
SMALL_VIEWS = 0.75  # share of the side, for the "auto" encoder (benchmarks/README.md)
OF_ENCODER = ("freeze", "encoder", "weights", "normalization", "input_size", "readout")
OF_ROWS = ("hog", "mirror", "unit_variance")  # what is made of what is learned
# What the networks and the state of the optimizer are made of.
OF_NETWORKS = (*OF_ENCODER, *OF_ROWS, "projection_dim", "hidden_dim", "optimizer")


@dataclass(frozen=True)
class Fit:
    """What a training has come to; its state is kept where a later call goes on."""

    specification: EncoderSpecification
    fitted: Fitted
    files: list[str] | None
    skipped: list[str]
    views: Any
    encoder: ImageEncoder
    training: Training
    history: History
    state: State | None
    share: float  # of the way to the trained weights that the encoder has gone


def fit_encoder(
    estimator: "BYOLTransformer",
    X: object,
    X_unlabeled: object = None,
    *,
    is_partial: bool = False,
) -> Fit:
    """Train an encoder by the parameters of an estimator, or go on with the one it has.

    What is partial has no end: it is one more epoch, at a constant learning rate.
    """
    estimator._validate_params()
    device = resolve_device(estimator.device)
    check_callbacks(estimator.callbacks)
    check_start(estimator)
    check_networks(estimator)
    processes = join(device)
    source, images, skipped = _read(estimator, X, X_unlabeled)
    look: Callable[[Source], None] | None = estimator.__dict__.pop("_look", None)
    if look is not None:
        look(source)
    fitted = getattr(estimator, "_fitted", source.fitted)
    about = functools.cache(lambda: fingerprint(estimator, images))  # of all pixels
    checkpoints = None if is_partial else _checkpoints(estimator, about)
    processes.check_same(lambda: about() | _about(estimator, device))
    seed = processes.first(draw_seed(estimator.random_state))
    with seeded_torch(seed):  # a callable may draw from torch's global state
        views, chosen = views_for(_views(estimator, images.shape), images.shape)
    encoder, specification = first_encoder(estimator, images, seed)
    kept = getattr(estimator, "_state", None)
    n_epochs = getattr(estimator, "n_iter_", 0) + 1 if is_partial else None
    of_run = n_epochs, device, seed, processes
    frozen = Frozen(encoder.get_submodule("network"), estimator.freeze, "network")
    plan = _plan(estimator, encoder, images, chosen, fitted, *of_run)
    plan = _without_epochs(replace(plan, frozen=frozen.names), encoder)
    with batches_advice(plan.batch_size):
        training = Training(encoder, images.to(device), views, plan)
    former = estimator.history_ if is_partial and n_epochs != 1 and not kept else None
    goes_on = is_partial or estimator.warm_start
    history = run(training, checkpoints, kept, extends=goes_on, former=former)
    frozen.thaw()
    of_images = fitted, source.files, skipped, chosen
    end = _end(training, history, goes_on=goes_on, is_partial=is_partial)
    return Fit(specification, *of_images, encoder, training, history, *end)


def _end(
    training: Training,
    history: History,
    *,
    goes_on: bool,
    is_partial: bool,
) -> tuple[State | None, float]:
    """Settle the encoder, and look whether it went well.

    Returns the state, if a later call may go on from it, and the share of the way to
    the trained weights that is kept.
    """
    state = as_arrays(state_of(training)) if goes_on else None
    if training.began:
        state = copy.deepcopy(state)  # of the weights before they are averaged
    share = settle(training)
    check_health(training, history)
    give_unit_variance(training, keeps=is_partial or not training.net.history)
    return state, share


def learned_callbacks(net: Net) -> list[tuple[str, Callback]]:
    """Return the callbacks of a training by their names, without the bar."""
    return [(name, callback) for name, callback in net.callbacks_ if name != BAR]


def draw_seed(random_state: int | np.random.RandomState | None) -> int:
    """Draw the seed of all that follows."""
    return int(check_random_state(random_state).randint(2**31 - 1))


def reader_of(
    byol: "BYOLTransformer", named: Any = None, fitted: Fitted | None = None
) -> Reader:
    """Read by the parameters of a transformer; errors name it, or another estimator."""
    estimator = byol if named is None else named
    fitted = getattr(estimator, "_fitted", None) if fitted is None else fitted
    pixels = byol.image_shape, byol.resize_mode, byol.pixel_range
    given = *pixels, byol.n_jobs, byol.cache, byol.on_error
    return Reader(estimator, *given, fitted)


def rows_of(byol: "BYOLTransformer", X: object, fitted: "BYOLEstimator") -> Rows:
    """Represent images by the encoder of an estimator, read as byol reads them."""
    check_is_fitted(fitted)
    images = reader_of(byol, fitted).stream(X)
    device = device_or_best(byol.device)
    shape = (len(images), fitted._n_features_out)
    precision = byol.transform_precision
    shapes = images.shape, resized_shape(images.shape, fitted._specification.side)
    batches = images.batches(max(shapes, key=math.prod))
    return represent(fitted.encoder_, batches, shape, device, precision)


def _read(
    estimator: "BYOLTransformer", X: object, X_unlabeled: object
) -> tuple[Source, AllImages, list[str]]:
    """Read the images of fit and the pool, like those before if fit goes on."""
    source = reader_of(estimator).read(X, least=2)
    if X_unlabeled is None:
        return source, source.images, source.skipped
    is_wrapped = isinstance(X_unlabeled, UnlabeledPool)
    given = X_unlabeled.X if is_wrapped else X_unlabeled  # type: ignore[attr-defined]
    try:
        pool = reader_of(estimator, fitted=source.fitted).read(given)
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
    images = JoinedImages([source.images, pool.images])
    return source, images, source.skipped + pool.skipped


def _without_epochs(plan: Plan, encoder: ImageEncoder) -> Plan:
    """Train nothing where there is nothing to train, and say so."""
    if any(p.requires_grad for p in encoder.parameters()) or not plan.max_epochs:
        return plan
    why = "all its parameters are frozen" if [*encoder.parameters()] else "it has none"
    warn(
        f"encoder has nothing to train, since {why}: it stays as it is, and no epoch "
        "is trained. Say so by max_epochs=0, which silences this, or leave layers to "
        "train.",
        EncoderWarning,
    )
    return replace(plan, max_epochs=0)


def _views(estimator: "BYOLTransformer", image_shape: ImageShape) -> Any:
    """Return the views; "auto" is mild where the encoder knows images."""
    views = estimator.views
    if _takes_smaller_views(estimator, image_shape):
        views = with_size(views, SMALL_VIEWS)
    if not knows_images(estimator) or preset_for("auto", image_shape)[0] not in STRONG:
        return views
    if isinstance(views, tuple | list):
        return [_milder(one) for one in views]
    return _milder(views)


def _shape_of_views(views: Any, image_shape: ImageShape) -> ImageShape:
    """Return the shape of the smallest views that will be drawn."""
    parts = views if isinstance(views, tuple | list) else [views]
    shares = [one.size or 1.0 for one in parts if isinstance(one, RandomViews)]
    n_channels, *size = image_shape
    height, width = view_size((size[0], size[1]), min([1.0, *shares]))
    return n_channels, height, width


def _takes_smaller_views(estimator: "BYOLTransformer", image_shape: ImageShape) -> bool:
    """Tell whether the encoder takes images of any size, and learns as much of less."""
    is_auto = isinstance(estimator.encoder, str) and estimator.encoder == "auto"
    keeps_size = estimator.input_size is None or isinstance(estimator.input_size, str)
    return is_auto and keeps_size and min(image_shape[1:]) >= SMALLEST


def _milder(view: Any) -> Any:
    """Return "mild" for "auto", also where some strengths are given."""
    if isinstance(view, RandomViews) and view.preset == "auto":
        return clone(view).set_params(preset="mild")
    return "mild" if isinstance(view, str) and view == "auto" else view


def _plan(
    estimator: "BYOLTransformer",
    encoder: ImageEncoder,
    images: AllImages,
    views: Any,
    fitted: Fitted,
    n_epochs: int | None,
    device: torch.device,
    seed: int,
    processes: Processes,
) -> Plan:
    """Make "auto" numbers, and warn of what is known to go wrong with them."""
    with seeded_torch(seed):
        n_features_out = representation_dim(encoder, images.shape)
    view_shape = _shape_of_views(views, images.shape)
    check_view_shape(encoder, view_shape, images.shape)
    given = estimator.precision, device, view_shape
    precision = resolve_precision(*given, encoder.trained)
    are_same = len(set(processes.every(precision))) == 1  # on GPUs of several kinds
    plan = Plan.of(
        estimator,
        n_images=len(images),
        n_epochs=n_epochs,
        device=device,
        precision=precision if are_same else torch.float32,
        representation_dim=n_features_out,
        seed=seed,
        is_drawing=not isinstance(estimator.encoder, str) or draws_globally(encoder),
        is_pretrained=knows_images(estimator),
        read_images=lambda X: reader_of(estimator, fitted=fitted).stream(X)[:],
        processes=processes,
    )
    warn_of_risks(
        encoder,
        estimator.optimizer,
        plan.schedule.lr,
        estimator.batch_size,
        momentum=plan.schedule.momentum,
        is_held=plan.is_held,
    )
    return plan


def check_networks(estimator: "BYOLEstimator") -> None:
    """Refuse to go on with other networks than those that were trained."""
    before = getattr(estimator, "_networks", {})
    now = describe_parameters(estimator, before)
    for name, text in before.items():
        if text != now[name]:
            raise ValueError(
                f"{name} was {text} when training began and is {now[name]} now. "
                "To go on, put it back; to begin anew, call fit with "
                "warm_start=False, or clone the estimator."
            )


def _about(estimator: "BYOLTransformer", device: torch.device) -> dict[str, str]:
    """Describe what processes which train together have to agree on besides."""
    names = ("checkpoint", "checkpoint_minutes", "warm_start")
    n_iter = str(getattr(estimator, "n_iter_", 0))
    reached = {"n_iter_": n_iter, "the kind of device": device.type}
    return describe_parameters(estimator, names) | reached


def _checkpoints(
    estimator: "BYOLTransformer", about: Callable[[], dict[str, str]]
) -> Checkpoints | None:
    """Say where the state of this training is kept."""
    if estimator.checkpoint is None:
        return None
    if not os.fspath(estimator.checkpoint):
        raise ValueError("checkpoint must be None or name a folder. Got ''.")
    folder = Path(estimator.checkpoint).expanduser()
    minutes, is_longer = float(estimator.checkpoint_minutes), estimator.warm_start
    return Checkpoints(folder, minutes, about(), may_be_longer=is_longer)
