"""BYOLClassifier: BYOL on all images, then the encoder tuned on the labelled ones."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags, check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.extmath import softmax
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sklearn_byol.estimators._base import BYOLEstimator
from sklearn_byol.estimators._fingerprint import describe_parameters
from sklearn_byol.estimators._fitting import rows_of
from sklearn_byol.estimators._labels import count_images, scored_labels
from sklearn_byol.estimators._saving import encoder_arrays
from sklearn_byol.estimators._transformer import LAYERS, BYOLTransformer
from sklearn_byol.estimators._tuning import Beginning, Tuned, begin, tune_from
from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.networks._freezing import Freeze

AUTO = StrOptions({"auto"})

# What is known of images and encoder once BYOL is fitted.
OF_BYOL = {"_fitted", "_specification", "_n_features_out", "image_shape_"}
OF_BYOL |= {"pixel_range_", "n_features_in_", "feature_names_in_"}


@dataclass(repr=False, eq=False)
class BYOLClassifier(
    ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BYOLEstimator
):
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
        It rises for a tenth of the steps and falls to 0 on a cosine. "auto" is 3e-4 for
        10 labelled images, and 1e-3 from 50 on; where BYOL began with `weights`, 3e-5
        for 10, 2e-4 for 100 and 1e-3 from 1,000 on.
    head_lr : float or "auto", default="auto"
        The largest learning rate of the linear layer, above 0. "auto" is 1e-4 for
        10 labelled images, 3e-4 for 100 and 1e-3 from 1,000 on, in `partial_fit` and
        where BYOL began with `weights`.
    weight_decay : float, default=0.01
        Decay of the weights, at least 0; biases and norm parameters do not decay.
    batch_size : int, default=64
        Labelled images of a step, at least 2; batches are split evenly.
    max_epochs : int or "auto", default="auto"
        How many times tuning goes through the labelled images, at least 1. "auto" makes
        ten steps for each, up to 400, and goes through them 30 times at least.
    freeze : int, str, sequence of str or None, default=None
        Layers of the encoder that stay as they are in tuning, as in `BYOLTransformer`;
        `encoder_lr=0` freezes all. Those that BYOL was to leave are tuned, unless they
        are named here.
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
    warm_start : bool, default=False
        Whether fit continues what was tuned before, up to `max_epochs` in all, and
        leaves BYOL as it is; y must hold no other classes. Raise `max_epochs` to tune
        for longer. Saved models hold the state of tuning then.
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
    untuned_byol_ : BYOLTransformer
        The transformer of a later fit, where BYOL was trained and then tuning failed.
    encoder_ : nn.Module
        The tuned encoder in evaluation mode, which takes images as that of `byol_`.
    coefficients_ : ndarray of shape (n_classes, n_dims), float32
        Weights of the linear layer on tuned representations.
    intercepts_ : ndarray of shape (n_classes,), float32
        Its biases.
    history_ : dict of str to list of float
        One number per epoch of tuning: `loss`, `encoder_lr` at its end, `seconds`, and,
        where images are held out, `validation_score`, their weighted accuracy; and the
        numbers that callbacks have written.
    n_iter_ : int
        Epochs of tuning.
    callbacks_ : list of (str, skorch.callbacks.Callback)
        The callbacks of tuning by their names, as in `BYOLTransformer`.
    frozen_layers_ : list of str
        Names of the layers of `encoder_` that stayed as they were in tuning.
    image_shape_ : tuple of int (n_channels, height, width)
        Shape of one image.
    pixel_range_ : tuple of float (low, high)
        The values of X that count as 0 and 1; what lies beyond is clipped.
    channel_ranges_ : ndarray of shape (n_channels, 2)
        The same for each channel.
    n_features_in_ : int
        Features of X: the values of one image, n_channels * height * width, or 1 where
        X was a column of images, as in `BYOLTransformer`.
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
        "freeze": [LAYERS, str, list, tuple, None],
        "callbacks": [list, tuple, None],
        "early_stopping": [AUTO, "boolean"],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "warm_start": ["boolean"],
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
    freeze: Freeze = None
    callbacks: Sequence[Callback | tuple[str, Callback]] | None = None
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def fit(
        self,
        X: object,
        y: object,
        X_unlabeled: object = None,
        sample_weight: object = None,
    ) -> Self:
        """Train an encoder on all images, then tune it on the labelled ones.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.fit` takes them. Where `byol` is fitted already,
            as its `transform` takes them, and only the labelled ones are used.
        y : array-like of shape (n_samples,)
            Labels, numbers or strings. The number -1, None, NaN or pandas' NA marks an
            unlabelled image, among strings too, in a list or an array of objects. -1
            and 1 alone are two classes.
        X_unlabeled : same as X, default=None
            Further images for BYOL, not used where it is fitted already. Requested by
            default where metadata is routed; in cross-validation wrap it in
            `UnlabeledPool`.
        sample_weight : array-like of shape (n_samples,), default=None
            What each labelled image counts in tuning, at least 0; one of 0 counts as
            unlabelled. BYOL, which looks at no label, takes all images alike.

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
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, y, X_unlabeled, sample_weight, goes_on=goes_on)

    def partial_fit(
        self, X: object, y: object, classes: object = None, sample_weight: object = None
    ) -> Self:
        """Tune for one more pass over these labelled images.

        The first call fits `byol` on all of X, unless it is fitted already, and the
        linear layer; later ones leave BYOL as it is. Tuning has no end: after the first
        pass the learning rates stay `encoder_lr` and `head_lr`, no images are held out
        and weights are not averaged.

        Parameters
        ----------
        X : same as in fit
            Images; after the first call like those of it.
        y : array-like of shape (n_samples,)
            Labels, as in fit; after the first call it need not hold all classes.
        classes : array-like of shape (n_classes,), default=None
            All labels that any call will have; None takes those of the first y. Marks
            of unlabelled images among them are passed over.
        sample_weight : array-like of shape (n_samples,), default=None
            As in fit.

        Returns
        -------
        BYOLClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            As in fit, or if y holds a label that is none of the classes, or
            `class_weight` is "balanced", which needs all labels; what was fitted before
            is still there.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all labels, and partial_fit sees some "
                "at a time. Pass a weight for each class, as compute_class_weight of "
                "sklearn.utils.class_weight returns them."
            )
        goes_on = self.__sklearn_is_fitted__()
        classes = y if classes is None else classes
        given = X, y, None, sample_weight
        return self._fit(*given, goes_on=goes_on, is_partial=True, classes=classes)

    def _fit(
        self,
        X: object,
        y: object,
        X_unlabeled: object,
        sample_weight: object,
        *,
        goes_on: bool,
        is_partial: bool = False,
        classes: object = None,
    ) -> Self:
        """Begin and tune a twin; what was fitted before stays until that is done."""
        twin = self._twin(is_fitted=goes_on)
        given = twin, X, y, X_unlabeled, sample_weight
        how: dict[str, Any] = {"goes_on": goes_on, "is_partial": is_partial}
        beginning = None
        try:
            classes = self.classes_ if goes_on else classes
            beginning = begin(*given, classes=classes, **how)
            tuned = tune_from(twin, beginning, **how)
            if not goes_on:
                twin._take_beginning(beginning)
            twin._take(tuned)
        except BaseException as error:
            if beginning is not None and beginning.has_trained:
                self._keep_byol(beginning, error)
            self._note_what_is_left(error)
            raise
        return self._become(twin)

    def _keep_byol(self, beginning: Beginning, error: BaseException) -> None:
        """Keep BYOL where only tuning has failed, and say where it is."""
        if self.__sklearn_is_fitted__():
            place = "untuned_byol_"  # beside that of the fit before
            self.untuned_byol_ = beginning.byol
        else:
            place = "byol_"
            self._take_beginning(beginning)
        error.add_note(
            f"BYOL is trained, and in {place}: to tune it without training it again, "
            f"pass byol=FrozenEstimator(classifier.{place})."
        )

    def _take_beginning(self, beginning: Beginning) -> None:
        """Set what is known before tuning."""
        self.byol_, self.classes_ = beginning.byol, beginning.labels.classes
        learned = {name: vars(self.byol_).get(name) for name in OF_BYOL}
        if beginning.features is not None:
            learned |= {"feature_names_in_": None} | beginning.features
        for name, value in learned.items():
            if value is not None:
                setattr(self, name, value)

    def _take(self, tuned: Tuned) -> None:
        """Set what tuning has learned."""
        self.encoder_, self._arrays = tuned.encoder, encoder_arrays(tuned.encoder)
        self.coefficients_, self.intercepts_ = tuned.layer
        self.history_, self.n_iter_ = tuned.history, len(tuned.history["loss"])
        self.callbacks_, self.frozen_layers_ = tuned.callbacks, tuned.frozen
        self._networks = describe_parameters(self, ("freeze",))
        for name in ("_state", "untuned_byol_"):
            self.__dict__.pop(name, None)
        if tuned.state is not None:
            self._state = tuned.state

    def __sklearn_tags__(self) -> Tags:
        """Say that transform returns float32."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def transform(self, X: object) -> NDArray[np.float32]:
        """Return the representations of images by the tuned encoder.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.transform` takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_dims), float32
            One row per image, in the order of X; NaN where an image was skipped. Times
            `coefficients_`, plus `intercepts_`, they are the logits.

        Raises
        ------
        ValueError
            As `predict_proba`.
        UnreadableImagesError
            If images cannot be decoded and `on_error` of `byol` is "raise".
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        return rows_of(self.byol_, X, self)

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
        rows = self.transform(X)
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

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Return the accuracy on the images that have a label.

        Scorers of scikit-learn, such as scoring="accuracy", know no marks: they treat
        -1 as a class. Leave `scoring` at None, or split by `LabeledTestSplit`.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images, as `BYOLTransformer.transform` takes them.
        y : array-like of shape (n_samples,)
            Labels, marked as in fit where there is none.
        sample_weight : array-like of shape (n_samples,), default=None
            What each image counts.

        Returns
        -------
        float
            The share of labelled images whose class is predicted.

        Raises
        ------
        ValueError
            As `predict`, or if y holds no label.
        """
        predicted = self.predict(X)
        if count_images(y) != len(predicted):
            raise ValueError(
                f"y has {count_images(y)} labels, but X has {len(predicted)} images."
            )
        check_consistent_length(predicted, sample_weight)
        scored, labels = scored_labels(y, self.classes_)
        weights = None if sample_weight is None else np.asarray(sample_weight)[scored]
        return float(accuracy_score(labels, predicted[scored], sample_weight=weights))
