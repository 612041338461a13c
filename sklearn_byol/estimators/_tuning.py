"""From BYOL and labels to an encoder that is tuned, with the linear layer behind it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sklearn_byol.estimators._fitting import (
    check_networks,
    draw_seed,
    learned_callbacks,
    reader_of,
)
from sklearn_byol.estimators._labels import Labels, count_images, split
from sklearn_byol.estimators._linear_head import fit_head
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.images._containers import AllImages
from sklearn_byol.images._datasets import Items
from sklearn_byol.images._reader import Source
from sklearn_byol.networks._freezing import Frozen
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.training._callbacks import check_callbacks
from sklearn_byol.training._checkpoints import State
from sklearn_byol.training._device import (
    batches_advice,
    draws_globally,
    represent,
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._fine_tuning import (
    LinearHead,
    Tuning,
    TuningPlan,
    finish,
    tune,
)
from sklearn_byol.training._history import History, rows_of
from sklearn_byol.training._labelled_images import LabelledImages
from sklearn_byol.training._processes import Processes, join
from sklearn_byol.views._pair import views_for, with_size

if TYPE_CHECKING:
    from sklearn_byol.estimators._classifier import BYOLClassifier

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights and biases


@dataclass(frozen=True)
class Beginning:
    """What tuning begins with: BYOL, and the images that have labels."""

    byol: BYOLTransformer
    images: AllImages
    labels: Labels
    seed: int
    processes: Processes
    features: dict[str, Any] | None = None  # of X, where BYOL was fitted before
    has_trained: bool = False  # whether BYOL was trained for this call


@dataclass(frozen=True)
class Tuned:
    """What tuning has come to; its state is kept where a later call goes on."""

    encoder: ImageEncoder
    layer: Layer
    history: History
    callbacks: list[tuple[str, Callback]]
    frozen: list[str]
    state: State | None


def initial_byol(
    byol: BYOLTransformer | FrozenEstimator | None, *, prefit: bool
) -> tuple[BYOLTransformer, bool]:
    """Return what BYOL is to be fitted with, or is already, and whether it is."""
    byol = BYOLTransformer() if byol is None else byol
    is_frozen = isinstance(byol, FrozenEstimator)
    if is_frozen:
        byol = byol.estimator
    if not isinstance(byol, BYOLTransformer):
        raise TypeError(
            "byol=FrozenEstimator(...) must hold a BYOLTransformer. Got "
            f"{byol!r}. Other steps belong before BYOLClassifier in a Pipeline."
        )
    if not (is_frozen or prefit):
        return clone(byol), False
    check_is_fitted(
        byol,
        msg="byol is not fitted, as FrozenEstimator or prefit=True says. Fit it "
        "first; where BYOLClassifier is cloned, as in cross-validation, pass "
        "FrozenEstimator(byol), since a clone forgets what it has learned.",
    )
    return byol, True


def begin(
    estimator: "BYOLClassifier",
    X: object,
    y: object,
    X_unlabeled: object,
    sample_weight: object,
    *,
    goes_on: bool,
    is_partial: bool,
    classes: Any = None,
) -> Beginning:
    """Fit BYOL, unless it is already, and choose the images that have labels.

    Classes are given where y need not hold all of them.
    """
    estimator._validate_params()
    check_callbacks(estimator.callbacks)
    check_networks(estimator)
    byol, is_fitted = initial_byol(estimator.byol, prefit=estimator.prefit)
    if goes_on:
        byol, is_fitted = estimator.byol_, True
    X = reader_of(byol).open(X)
    labels = Labels.of(y, count_images(X), sample_weight, classes)
    labels.weights(estimator.class_weight)
    processes = _joined(byol, labels)
    seed = processes.first(draw_seed(estimator.random_state))
    chosen: list[tuple[AllImages, Labels]] = []

    def choose(images: AllImages, present: NDArray[np.intp]) -> None:
        """Keep the labelled images that could be decoded, if they are enough."""
        kept = labels.keep(present)
        kept.weights(estimator.class_weight)
        _holds_out(estimator, kept, is_partial=is_partial)
        chosen.append((images, kept))

    if not is_fitted:

        def look(source: Source) -> None:
            choose(*source.take(labels.chosen))

        _fit_byol(byol, X, X_unlabeled, seed, look)
    if not chosen:
        source = reader_of(byol).read(X, labels.chosen)
        choose(source.images, source.kept)
    features = _features(byol, X) if is_fitted and not goes_on else None
    images, kept = chosen[0]
    return Beginning(
        byol, images, kept, seed, processes, features, has_trained=not is_fitted
    )


def _joined(byol: BYOLTransformer, labels: Labels) -> Processes:
    """Join the processes that tune together, which need the same labels."""
    processes = join(resolve_device(byol.device))
    described = labels.codes, labels.classes, labels.sample_weight
    processes.check_same(lambda: {"y": joblib.hash(described)})
    return processes


def _fit_byol(
    byol: BYOLTransformer,
    X: object,
    X_unlabeled: object,
    seed: int,
    look: Callable[[Source], None],
) -> None:
    """Fit BYOL, by a seed if it has none of its own; images are looked at on the way.

    One of the user's own may train on other images, and take no pool.
    """
    if byol.random_state is None:
        byol.set_params(random_state=seed)
    if type(byol).fit is BYOLTransformer.fit:
        byol._look = look
    byol.fit(X, **({} if X_unlabeled is None else {"X_unlabeled": X_unlabeled}))


def _features(byol: BYOLTransformer, X: object) -> dict[str, Any]:
    """Say what the features of X are, where those of BYOL are of another X."""
    fitted = replace(byol._fitted, is_items=isinstance(X, Items))
    names = [X.column] if isinstance(X, Items) else getattr(X, "columns", [None])
    found = {"_fitted": fitted, "n_features_in_": fitted.n_features}
    if all(isinstance(name, str) for name in names):
        found["feature_names_in_"] = np.array([*names], dtype=object)
    return found


def tune_from(
    estimator: "BYOLClassifier",
    beginning: Beginning,
    *,
    goes_on: bool,
    is_partial: bool,
) -> Tuned:
    """Fit the linear layer, then tune a copy of the encoder with it.

    Labelled images are few: each process tunes on all of them, and what the first
    one has come to is what all have in the end.
    """
    byol, processes = beginning.byol, beginning.processes
    images, held_out = _divided(estimator, beginning, is_partial=is_partial)
    encoder, head = _first(estimator, beginning, images, goes_on=goes_on)
    frozen = Frozen(encoder.get_submodule("network"), estimator.freeze, "network")
    n_epochs = getattr(estimator, "n_iter_", 0) + 1 if is_partial else None
    plan = _plan(estimator, beginning, encoder, len(images), n_epochs)
    with seeded_torch(plan.seed):  # a callable may draw from torch's global state
        whole = with_size(byol.views_, 1, replaces=True)
        views, _ = views_for(whole, byol.image_shape_)
    with batches_advice(plan.batch_size):
        tuning = Tuning(encoder, head, images, held_out, views, plan)
        if goes_on:
            _go_on(tuning, estimator, is_partial=is_partial)
        is_over = tuning.has_ended()
        history = tune(tuning)
    is_kept = is_partial or estimator.warm_start
    seed = getattr(estimator, "_state", {}).get("seed", beginning.seed)
    state = tuning.state() | {"seed": seed} if is_kept else None
    frozen.thaw()
    if is_over:  # what it came to before is left alone
        layer = estimator.coefficients_, estimator.intercepts_
        ran = getattr(estimator, "callbacks_", [])
        return Tuned(estimator.encoder_, layer, history, ran, frozen.names, state)
    finish(tuning)
    layer, history = processes.first((head.folded(), history))
    processes.equalise(encoder.state_dict().values())
    callbacks = learned_callbacks(tuning.net)
    return Tuned(encoder, layer, history, callbacks, frozen.names, state)


def _first(
    estimator: "BYOLClassifier",
    beginning: Beginning,
    images: LabelledImages,
    *,
    goes_on: bool,
) -> tuple[ImageEncoder, LinearHead]:
    """Copy the encoder to be tuned, and fit the linear layer unless there is one."""
    if goes_on:
        head = LinearHead.of(estimator.coefficients_, estimator.intercepts_)
        return copy.deepcopy(estimator.encoder_), head
    byol = beginning.byol
    encoder = copy.deepcopy(byol.encoder_)
    shape = (len(images), byol._n_features_out)
    device = resolve_device(byol.device)
    rows = represent(encoder, images.in_order(), shape, device)
    n_classes = len(beginning.labels.classes)
    return encoder, fit_head(rows, images, n_classes, beginning.seed)


def _holds_out(
    estimator: "BYOLClassifier", labels: Labels, *, is_partial: bool
) -> bool:
    """Tell whether a share of the labelled images is held out."""
    given = estimator.early_stopping, estimator.validation_fraction
    return not is_partial and labels.are_held_out(*given)


def _divided(
    estimator: "BYOLClassifier", beginning: Beginning, *, is_partial: bool
) -> tuple[LabelledImages, LabelledImages | None]:
    """Hold out a share of the labelled images, if that is wanted."""
    found, labels = beginning.images, beginning.labels
    device = resolve_device(beginning.byol.device)
    weights = labels.weights(estimator.class_weight)[labels.codes]
    known = np.arange(len(found)), labels.codes, weights * labels.sample_weight
    images = LabelledImages(found.to(device), *known, labels.sample_weight)
    if not _holds_out(estimator, labels, is_partial=is_partial):
        return images, None
    fraction = estimator.validation_fraction
    kept = getattr(estimator, "_state", {})  # which images were held out before
    seed = kept.get("seed", beginning.seed)
    train, left = split(images.codes, fraction, seed)
    return images.take(train), images.take(left)


def _plan(
    estimator: "BYOLClassifier",
    beginning: Beginning,
    encoder: ImageEncoder,
    n_images: int,
    n_epochs: int | None,
) -> TuningPlan:
    """Make "auto" numbers; where and how it computes is BYOL's."""
    byol = beginning.byol
    device = resolve_device(byol.device)
    precision = resolve_precision(byol.precision, device, byol.image_shape_, encoder)
    return TuningPlan.of(
        estimator,
        n_images=n_images,
        n_epochs=n_epochs,
        has_weights=byol.weights is not None,
        device=device,
        precision=precision,
        seed=beginning.seed,
        is_drawing=not isinstance(byol.encoder, str) or draws_globally(encoder),
        is_first=beginning.processes.is_first,
        on_interrupt=byol.on_interrupt,
        read_images=lambda X: reader_of(byol).stream(X)[:],
    )


def _go_on(tuning: Tuning, estimator: "BYOLClassifier", *, is_partial: bool) -> None:
    """Go on from the state that is kept; without one the optimizer is new."""
    kept = getattr(estimator, "_state", None)
    if kept is not None:
        tuning.go_on(kept)
    elif is_partial:
        _, tuning.net.history[:] = rows_of(estimator.history_)
