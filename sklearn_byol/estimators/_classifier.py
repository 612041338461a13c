"""BYOLClassifier: BYOL on all images, then the encoder tuned on the labelled ones."""

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sklearn_byol.estimators._base import BYOLEstimator
from sklearn_byol.estimators._fitting import draw_seed, reader_of, rows_of
from sklearn_byol.estimators._labels import Labels, count_images, split
from sklearn_byol.estimators._linear_head import fit_head
from sklearn_byol.estimators._saving import encoder_arrays
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._containers import AllImages
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.training._callbacks import check_callbacks
from sklearn_byol.training._device import (
    batches_advice,
    draws_globally,
    represent,
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._fine_tuning import LabelledImages, Tuning, TuningPlan, tune
from sklearn_byol.training._history import History
from sklearn_byol.training._processes import Processes, join
from sklearn_byol.views._pair import views_for, with_size


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


AUTO = StrOptions({"auto"})

# What is known of images and encoder once BYOL is fitted.
OF_BYOL = {"_fitted", "_specification", "_n_features_out", "image_shape_"}
OF_BYOL |= {"pixel_range_", "n_features_in_", "feature_names_in_"}

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]  # weights and biases


@dataclass(repr=False, eq=False)
class BYOLClassifier(ClassifierMixin, BYOLEstimator):
    """Classify images, few of which have labels, with an encoder that saw them all.

    BYOL learns an encoder from all images. A logistic regression on the representations
    of the labelled ones makes a linear layer, and then a copy of the encoder and this
    layer are tuned together by cross-entropy. Half of what they are shown is views of
    the images, drawn as BYOL draws them but in full size, so that few labels go
    further.

    Parameters
    ----------
    byol : BYOLTransformer or FrozenEstimator, default=None
        What learns without labels; a copy is fitted, and its device, precision and way
        to read images are those of tuning too. None is one with its defaults. One that
        is fitted already, in a `sklearn.frozen.FrozenEstimator`, is not fitted again.
    prefit : bool, default=False
        Whether `byol` is fitted already. Copies of this estimator, as cross-validation
        makes them, have one that is not, so there take a `FrozenEstimator`.
    class_weight : dict, "balanced" or None, default=None
        Weight of each label in the loss; "balanced" makes all classes count the same.
    encoder_lr : float or "auto", default="auto"
        The largest learning rate of the encoder, at least 0, which keeps it as it is.
        It rises for a tenth of the steps and falls to 0 on a cosine. "auto" is 3e-5 for
        10 labelled images, 2e-4 for 100 and 1e-3 from 1,000 on.
    head_lr : float or "auto", default="auto"
        The largest learning rate of the linear layer, above 0. "auto" is 1e-3.
    weight_decay : float, default=0.01
        Decay of the weights, at least 0; biases and norm parameters do not decay.
    batch_size : int, default=64
        Labelled images of a step, at least 2; batches are split evenly.
    max_epochs : int or "auto", default="auto"
        How many times tuning goes through the labelled images, at least 1. "auto" makes
        ten steps for each, up to 400, and goes through them 30 times at least.
    callbacks : sequence of skorch.callbacks.Callback, default=None
        Callbacks of tuning, or pairs of a name and a callback, as in `BYOLTransformer`.
        They may monitor `train_loss`, `encoder_lr`, `validation_score` where images are
        held out, and what others write. Those of BYOL are parameters of `byol`.
    early_stopping : bool or "auto", default="auto"
        Whether a share of the labelled images is held out: tuning then ends when ten
        epochs were no better on them, and the best weights are kept. "auto" does so
        where the share has 50 images of each class.
    validation_fraction : float, default=0.1
        The share of each class that is held out, in (0, 0.5].
    random_state : int, RandomState or None, default=None
        Draws order and views of tuning, the images that are held out, and the seed of
        `byol` where it has none of its own. An int gives the same bits at each fit.
    verbose : int, default=0
        1 shows a bar with the figures of each epoch of tuning.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, without the mark of unlabelled images.
    byol_ : BYOLTransformer
        The fitted transformer; its encoder is as BYOL left it.
    encoder_ : nn.Module
        The tuned encoder in evaluation mode, which takes images as that of `byol_`.
    coefficients_ : ndarray of shape (n_classes, n_dims), float32
        Weights of the linear layer on tuned representations.
    intercepts_ : ndarray of shape (n_classes,), float32
        Its biases.
    history_ : dict of str to list of float
        One number an epoch of tuning: `loss`, `encoder_lr` at its end, `seconds`, and,
        where images are held out, `validation_score`, their weighted accuracy; and the
        numbers that callbacks have written.
    n_iter_ : int
        Epochs of tuning.
    image_shape_ : tuple of int (n_channels, height, width)
        Shape of one image.
    pixel_range_ : tuple of float (low, high)
        The values of X that count as 0 and 1; what lies beyond is clipped.
    channel_ranges_ : ndarray of shape (n_channels, 2)
        The same for each channel.
    n_features_in_ : int
        Values of one image, n_channels * height * width.
    feature_names_in_ : ndarray of str of shape (`n_features_in_`,)
        Names of the features, where X had names.

    Notes
    -----
    To begin from a fitted linear layer keeps the first steps from spoiling the encoder
    (Kumar et al. 2022). Below 1,000 labels, if none are held out, the weights are in
    the end averaged with those of the beginning (Wortsman et al. 2022).

    References
    ----------
    Grill et al. (2020), Bootstrap your own latent, arXiv 2006.07733, section 4.1.

    Kumar et al. (2022), Fine-tuning can distort pretrained features and underperform
    out-of-distribution, arXiv 2202.10054.

    Wortsman et al. (2022), Robust fine-tuning of zero-shot models, arXiv 2109.01903.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLClassifier, BYOLTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> few = np.where(np.arange(len(y)) < 100, y, -1)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0)
    >>> clf = BYOLClassifier(byol, max_epochs=1, random_state=0).fit(X, few)
    >>> clf.predict(X).shape
    (1797,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "byol": [BYOLTransformer, FrozenEstimator, None],
        "prefit": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "encoder_lr": [AUTO, Interval(Real, 0, None, closed="left")],
        "head_lr": [AUTO, Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [AUTO, Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, tuple, None],
        "early_stopping": [AUTO, "boolean"],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    # Requested where metadata is routed, unless the user says otherwise.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"X_unlabeled": True}

    byol: BYOLTransformer | FrozenEstimator | None = None
    _: KW_ONLY
    prefit: bool = False
    class_weight: dict[Any, float] | str | None = None
    encoder_lr: float | str = "auto"
    head_lr: float | str = "auto"
    weight_decay: float = 0.01
    batch_size: int = 64
    max_epochs: int | str = "auto"
    callbacks: Sequence[Callback | tuple[str, Callback]] | None = None
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def fit(self, X: object, y: object, X_unlabeled: object = None) -> Self:
        """Train an encoder on all images, then tune it on the labelled ones.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.fit` takes them. Where `byol` is fitted already,
            as its `transform` takes them, and only the labelled ones are used.
        y : array-like of shape (n_samples,)
            Labels, numbers or strings; the number -1 marks an unlabelled image, among
            strings too, in a list or an array of objects.
        X_unlabeled : same as X, default=None
            Further images for BYOL, not used where it is fitted already. Requested by
            default where metadata is routed; in cross-validation wrap it in
            `UnlabeledPool`.

        Returns
        -------
        BYOLClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If a parameter, X or y is not as described, before any training: y has
            another length than X, no label, labels of one class or of mixed types, or a
            class has one image where a share is to be held out.
        UnreadableImagesError
            If images cannot be decoded, before any training.
        TypeError
            If X is sparse or holds what is no number, or `byol` freezes something else.
        sklearn.exceptions.NotFittedError
            If `byol` is said to be fitted and is not.
        FloatingPointError
            If the loss is not finite at some step.

        Warns
        -----
        LabelsWarning
            If y holds -1 and 1 only: they are taken for two classes.
        """
        self._forget()
        self._validate_params()
        check_callbacks(self.callbacks)
        byol, is_fitted = initial_byol(self.byol, prefit=self.prefit)
        X = reader_of(byol).open(X)
        labels = Labels.of(y, count_images(X))
        labels.weights(self.class_weight)
        processes = join(resolve_device(byol.device))
        processes.check_same(lambda: {"y": joblib.hash((labels.codes, labels.classes))})
        seed = processes.first(draw_seed(self.random_state))
        chosen: list[tuple[AllImages, Labels]] = []

        def choose(images: AllImages, present: NDArray[np.intp]) -> None:
            """Keep the labelled images that could be decoded, if they are enough."""
            kept = labels.keep(present)
            kept.weights(self.class_weight)
            kept.are_held_out(self.early_stopping, self.validation_fraction)
            chosen.append((images, kept))

        if not is_fitted:
            if byol.random_state is None:
                byol.set_params(random_state=seed)
            # One of the user's own may train on other images, and take no pool.
            if type(byol).fit is BYOLTransformer.fit:
                byol._look = lambda source: choose(*source.take(labels.chosen))
            byol.fit(X, **({} if X_unlabeled is None else {"X_unlabeled": X_unlabeled}))
        if not chosen:
            source = reader_of(byol).read(X, labels.chosen)
            choose(source.images, source.kept)
        images, kept = chosen[0]
        self.byol_, self.classes_ = byol, kept.classes  # whatever becomes of tuning
        for name in OF_BYOL & set(vars(byol)):
            setattr(self, name, vars(byol)[name])
        encoder, layer, history = self._tune(byol, images, kept, seed, processes)
        self.encoder_, self._arrays = encoder, encoder_arrays(encoder)
        self.coefficients_, self.intercepts_ = layer
        self.history_, self.n_iter_ = history, len(history["loss"])
        return self

    def _tune(
        self,
        byol: BYOLTransformer,
        found: AllImages,
        labels: Labels,
        seed: int,
        processes: Processes,
    ) -> tuple[ImageEncoder, Layer, History]:
        """Fit the linear layer, then tune a copy of the encoder with it.

        Labelled images are few: each process tunes on all of them, and what the first
        one has come to is what all have in the end.
        """
        device, held_out = resolve_device(byol.device), None
        encoder = copy.deepcopy(byol.encoder_)
        weights = labels.weights(self.class_weight)
        images = LabelledImages(found.to(device), np.arange(len(found)), labels.codes)
        if labels.are_held_out(self.early_stopping, self.validation_fraction):
            train, left = split(images.codes, self.validation_fraction, seed)
            images, held_out = images.take(train), images.take(left)
        shape = (len(images), byol._n_features_out)
        rows = represent(encoder, images.in_order(), shape, device)
        head = fit_head(rows, images.codes, weights, seed)
        with seeded_torch(seed):  # a callable may draw from torch's global state
            views, _ = views_for(
                with_size(byol.views_, 1, replaces=True), byol.image_shape_
            )
        plan = TuningPlan.of(
            self,
            n_images=len(images),
            class_weights=weights,
            device=device,
            precision=resolve_precision(
                byol.precision, device, byol.image_shape_, encoder
            ),
            seed=seed,
            is_drawing=not isinstance(byol.encoder, str) or draws_globally(encoder),
            is_first=processes.is_first,
            read_images=lambda X: reader_of(byol, self, byol._fitted).stream(X)[:],
        )
        with batches_advice(plan.batch_size):
            history = tune(Tuning(encoder, head, images, held_out, views, plan))
        layer, history = processes.first((head.folded(), history))
        processes.equalise(encoder.state_dict().values())
        return encoder, layer, history

    def predict_proba(self, X: object) -> NDArray[np.float32]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.transform` takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float32
            Columns are in the order of `classes_`; NaN where an image was skipped.

        Raises
        ------
        ValueError
            If the images have another shape, number of channels or range of values than
            those of fit.
        UnreadableImagesError
            If images cannot be decoded and `on_error` of `byol` is "raise".
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        rows = rows_of(self.byol_, X, self)
        # In double precision, since probabilities near 0 and 1 are told apart by it.
        logits = rows.astype(np.float64) @ self.coefficients_.T + self.intercepts_
        return softmax(logits, copy=False).astype(np.float32)

    def predict(self, X: object) -> NDArray[Any]:
        """Return the most probable class of each image.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.transform` takes them.

        Returns
        -------
        ndarray of shape (n_samples,)
            Members of `classes_`.

        Raises
        ------
        ValueError
            As `predict_proba`.
        UnreadableImagesError
            If images cannot be decoded.
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        probabilities = self.predict_proba(X)
        n_missing = int(np.isnan(probabilities[:, 0]).sum())
        if n_missing:
            raise UnreadableImagesError(
                f"{n_missing} of {len(probabilities)} images cannot be decoded and "
                "have no class. predict_proba gives them rows of NaN."
            )
        return self.classes_[probabilities.argmax(axis=1)]
