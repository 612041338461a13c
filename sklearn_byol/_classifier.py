"""BYOLClassifier: BYOL on all images, then the encoder tuned on the labelled ones."""

import copy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_byol._head import fit_head
from sklearn_byol._labels import Labels, count_images, split
from sklearn_byol._persistence import SavesEncoder, encoder_arrays
from sklearn_byol._transformer import BYOLTransformer
from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images import Fitted, Reader
from sklearn_byol.training import (
    LabelledImages,
    TuningSettings,
    device_or_best,
    draws_globally,
    represent,
    resolve_device,
    seeded_torch,
    tune,
)
from sklearn_byol.views import views_for

__all__ = ["BYOLClassifier"]

AUTO = StrOptions({"auto"})
POSITIVE = Interval(Real, 0, None, closed="neither")
N_TO_HOLD_OUT = 50  # images a class, in the held-out share, from which "auto" does so

# What is known of images and encoder once BYOL is fitted.
OF_BYOL = {"_fitted", "_specification", "_n_features_out", "image_shape_"}
OF_BYOL |= {"pixel_range_", "n_features_in_", "feature_names_in_"}


class BYOLClassifier(SavesEncoder, ClassifierMixin, BaseEstimator):
    """Doc."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "byol": [BYOLTransformer, FrozenEstimator, None],
        "prefit": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "encoder_lr": [AUTO, Interval(Real, 0, None, closed="left")],
        "head_lr": [AUTO, POSITIVE],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [AUTO, Interval(Integral, 1, None, closed="left")],
        "early_stopping": [AUTO, "boolean"],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    # Requested where metadata is routed, unless the user says otherwise.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"X_unlabeled": True}

    _fitted: Fitted
    _n_features_out: int
    image_shape_: tuple[int, int, int]

    def __init__(
        self,
        byol: BYOLTransformer | FrozenEstimator | None = None,
        *,
        prefit: bool = False,
        class_weight: dict[Any, float] | str | None = None,
        encoder_lr: float | str = "auto",
        head_lr: float | str = "auto",
        weight_decay: float = 0.01,
        batch_size: int = 64,
        max_epochs: int | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.byol = byol
        self.prefit = prefit
        self.class_weight = class_weight
        self.encoder_lr = encoder_lr
        self.head_lr = head_lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, X_unlabeled: Any = None) -> Self:
        """Doc."""
        for name in list(vars(self)):
            if name.endswith("_") or name in {"_arrays", *OF_BYOL}:
                delattr(self, name)
        self._validate_params()
        byol, is_fitted = self._initial_byol()
        reader = _reader(byol, byol)
        labels = Labels.of(y, count_images(X))
        if byol.on_error == "skip":
            labels = labels.keep(reader.readable(X, labels.chosen))
        labels.weights(self.class_weight)
        holds_out = self._holds_out(labels)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if not is_fitted:
            if byol.random_state is None:
                byol.set_params(random_state=seed)
            byol.fit(X, X_unlabeled=X_unlabeled)
        self.byol_ = byol
        for name in OF_BYOL & set(vars(byol)):
            setattr(self, name, vars(byol)[name])
        source = reader.more(X, self._fitted, labels.chosen)
        if source.kept is not None:
            labels = labels.keep(source.kept)
        places = np.arange(len(labels.codes))
        images = LabelledImages(source.images, places, labels.codes)
        weights = labels.weights(self.class_weight)
        self._tune(images, weights, seed, holds_out=holds_out)
        self.classes_ = labels.classes
        return self

    def _initial_byol(self) -> tuple[BYOLTransformer, bool]:
        """Return what BYOL is to be fitted with, or what is fitted already."""
        byol = BYOLTransformer() if self.byol is None else self.byol
        is_frozen = isinstance(byol, FrozenEstimator)
        if is_frozen:
            byol = byol.estimator
        if not isinstance(byol, BYOLTransformer):
            raise TypeError(
                "byol=FrozenEstimator(...) must hold a BYOLTransformer. Got "
                f"{byol!r}. Other steps belong before BYOLClassifier in a Pipeline."
            )
        if not (is_frozen or self.prefit):
            return clone(byol), False
        check_is_fitted(
            byol,
            msg="byol is not fitted, but FrozenEstimator or prefit=True says so. Fit "
            "it first; where BYOLClassifier is cloned, as in cross-validation, pass "
            "FrozenEstimator(byol), since a clone forgets what it has learned.",
        )
        return byol, True

    def _holds_out(self, labels: Labels) -> bool:
        """Tell whether a share of the labelled images is held out."""
        if isinstance(self.early_stopping, str):
            return labels.counts.min() * self.validation_fraction >= N_TO_HOLD_OUT
        if self.early_stopping:
            labels.check_held_out()
        return bool(self.early_stopping)

    def _tune(
        self,
        images: LabelledImages,
        weights: NDArray[np.float64],
        seed: int,
        *,
        holds_out: bool,
    ) -> None:
        """Fit the linear layer, then tune a copy of the encoder with it."""
        byol = self.byol_
        device = resolve_device(byol.device)
        encoder = copy.deepcopy(byol.encoder_)
        held_out = None
        if holds_out:
            train, left = split(images.codes, self.validation_fraction, seed)
            images, held_out = images.take(train), images.take(left)
        shape = (len(images), self._n_features_out)
        rows = represent(encoder, images.in_order(), shape, device)
        head = fit_head(rows, images.codes, weights, seed)
        with seeded_torch(seed):  # a callable may draw from torch's global state
            views, _ = views_for(byol.views_, self.image_shape_)
        settings = TuningSettings.of(
            self,
            byol,
            n_images=len(images),
            image_shape=self.image_shape_,
            class_weights=weights,
            device=device,
            seed=seed,
            is_drawing=not isinstance(byol.encoder, str) or draws_globally(encoder),
        )
        self.history_ = tune(encoder, head, images, held_out, views, settings)
        self.n_iter_ = len(self.history_["loss"])
        self._weight, self._bias = head.folded()
        self.encoder_ = encoder
        self._arrays = encoder_arrays(encoder, {})

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Doc."""
        return self._probabilities(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Doc."""
        probabilities = self._probabilities(X)
        n_missing = int(np.isnan(probabilities[:, 0]).sum())
        if n_missing:
            raise UnreadableImagesError(
                f"{n_missing} of {len(probabilities)} images cannot be decoded and "
                "have no class. predict_proba gives them rows of NaN."
            )
        return self.classes_[probabilities.argmax(axis=1)]

    def _probabilities(self, X: Any) -> NDArray[np.float32]:
        """Return the probability of each class, NaN where an image was skipped."""
        check_is_fitted(self)
        images = _reader(self, self.byol_).stream(X, self._fitted)
        device = device_or_best(self.byol_.device)
        shape = (len(images), self._n_features_out)
        rows = represent(self.encoder_, images.batches(), shape, device)
        # In double precision, since probabilities near 0 and 1 are told apart by it.
        logits = rows.astype(np.float64) @ self._weight.T + self._bias
        return softmax(logits, axis=1).astype(np.float32)

    def __sklearn_tags__(self) -> Any:
        """Say that images may come in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether fit has ended."""
        return hasattr(self, "classes_")


def _reader(estimator: BaseEstimator, byol: BYOLTransformer) -> Reader:
    """Read as byol does; errors name the estimator."""
    return Reader(estimator, byol.image_shape, byol.n_jobs, byol.cache, byol.on_error)
