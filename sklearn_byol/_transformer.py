"""BYOLTransformer: images without labels in, representations out."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import nn

import sklearn_byol
from sklearn_byol._persistence import EncoderSpecification, encoder_arrays
from sklearn_byol.images import (
    Images,
    as_array,
    channel_statistics,
    check_pixel_range,
    fold,
    image_batches,
    layout_of,
    pixel_range,
)
from sklearn_byol.networks import representation_dim
from sklearn_byol.training import (
    TrainingSettings,
    check_callbacks,
    device_or_best,
    draws_globally,
    resolve_device,
    resolve_precision,
    seeded_torch,
    train,
)
from sklearn_byol.views import RandomViews, views_for

__all__ = ["BYOLTransformer"]


class BYOLTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn image representations without labels, by Bootstrap Your Own Latent.

    Two randomly changed copies of each image, its views, go through an online network
    and through a target network, a slow average of the online one. The online network
    learns to predict, from one view, what the target network makes of the other. What
    the encoder has learned on the way serves a classifier that sees few labels.

    Parameters
    ----------
    encoder : str, nn.Module or callable, default="auto"
        The network that is kept. "auto" is a small residual network sized to the image.
        The name of a torchvision classifier, such as "resnet18", takes that network
        without its classification head. A module is copied, a function without
        arguments is called; both must turn normalised images of shape
        (n_images, n_channels, height, width) into (n_images, n_dims).
    views : str, RandomViews, callable or a pair of these, default="auto"
        How views are drawn: a preset of `RandomViews`, strengths of your own, or a
        function from a float batch (n, n_channels, height, width) in [0, 1] to a batch
        of the same shape. A transform of torchvision draws once for all images it is
        given, so it is applied to one image at a time; inside a function of your own,
        call it image by image yourself. To search over strengths, pass a `RandomViews`.
        Views say what does not matter in your images, so this is the
        parameter to look at first.
    image_shape : tuple of int, default=None
        How a row of X folds into an image, in pixels: (height, width),
        (height, width, n_channels) or (n_channels, height, width). Needed for rows of
        colour images, rows whose length is not a square number, and images whose axes
        can be read in two ways.
    projection_dim : int, default=256
        Length of what is predicted, at least 1.
    hidden_dim : int, default=1024
        Width of the hidden layer of projector and predictor, at least 1; the paper's is
        4096, for ResNet-50.
    momentum : float or "auto", default="auto"
        How slowly the target network follows the online network at the first step, in
        [0, 1]; it rises to 1 by the last step. Short trainings want a lower value:
        "auto" takes 0.9 up to 200 steps, 0.95 at 400 and 0.99 from 2,000 on.
    lr : float, default=0.003
        The largest learning rate of AdamW, above 0; it falls to 0 on a cosine. Learning
        rates of papers are meant for LARS and much too large here.
    weight_decay : float, default=1e-4
        Decay of the weights, at least 0; biases and norm parameters do not decay.
    warmup_epochs : float or "auto", default="auto"
        Epochs in which the learning rate rises to `lr`, at least 0. "auto" is a tenth
        of `max_epochs`, 10 at most.
    batch_size : int, default=128
        Images of a step, at least 2. Batches are split evenly, differ by one image at
        most, and are no larger than this, but for three images instead of two and one.
    max_epochs : int, default=100
        How many times training goes through all images, at least 1.
    callbacks : sequence of skorch.callbacks.Callback, default=None
        Callbacks, or pairs of a name and a callback, copied before use. The history
        they see has `train_loss` and the names of `history_`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU; or a torch device such as "cuda:1".
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        What the products of training are computed in. "auto" takes bfloat16 on CUDA
        devices and processors that have instructions for it, else float32, and float32
        always below 8 pixels, where it is not reliable on processors. Weights are
        float32 in either case, and `transform` always computes in float32.
    random_state : int, RandomState or None, default=None
        Draws first weights, order of images and views. An int gives the same weights
        bit for bit at each fit on one machine with one number of threads. None follows
        numpy's global state. torch's global state is neither used nor changed.
    verbose : int, default=0
        1 shows a bar with epoch, loss, spread, images per second and time left.

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoder in evaluation mode. It takes images in [0, 1] of shape
        (n_images, n_channels, height, width) and normalises them itself.
    history_ : dict of str to list of float
        One number an epoch: `loss` (in [0, 8]; a low loss alone says nothing, collapse
        has the lowest), `spread` of the normalised projections (about 1 is healthy, 0
        is collapsed), `lr` and `momentum` at the end of the epoch, `seconds`,
        `images_per_second`.
    n_iter_ : int
        Epochs trained.
    views_ : RandomViews, callable or a pair of these
        What views were drawn by: presets are chosen and all strengths given.
    image_shape_ : tuple of int (n_channels, height, width)
        Shape of one image.
    pixel_range_ : tuple of float (low, high)
        The values of X that count as 0 and 1.
    n_features_in_ : int
        Values of one image, n_channels * height * width.
    feature_names_in_ : ndarray of str of shape (n_features_in_,)
        Names of the features, where X had names.

    References
    ----------
    Grill et al. (2020), Bootstrap your own latent: a new approach to self-supervised
    learning, arXiv 2006.07733.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X)
    >>> byol.transform(X).shape
    (1797, 512)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "encoder": [str, nn.Module, callable],
        "views": [str, RandomViews, tuple, list, callable],
        "image_shape": [tuple, list, None],
        "projection_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden_dim": [Interval(Integral, 1, None, closed="left")],
        "momentum": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "warmup_epochs": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, tuple, None],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        encoder: str | nn.Module | Callable[[], nn.Module] = "auto",
        *,
        views: Any = "auto",
        image_shape: tuple[int, ...] | None = None,
        projection_dim: int = 256,
        hidden_dim: int = 1024,
        momentum: float | str = "auto",
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        warmup_epochs: float | str = "auto",
        batch_size: int = 128,
        max_epochs: int = 100,
        callbacks: Sequence[Callback | tuple[str, Callback]] | None = None,
        device: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.encoder = encoder
        self.views = views
        self.image_shape = image_shape
        self.projection_dim = projection_dim
        self.hidden_dim = hidden_dim
        self.momentum = momentum
        self.lr = lr
        self.weight_decay = weight_decay
        self.warmup_epochs = warmup_epochs
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train an encoder on images; labels are not used.

        Parameters
        ----------
        X : array-like or Tensor
            Two images or more, of any real dtype and any range of values: rows of shape
            (n_samples, n_features), gray images (n_samples, height, width), or images
            (n_samples, height, width, n_channels) or (n_samples, n_channels, height,
            width). Arrays are not copied as a whole.
        y : None
            Ignored.

        Returns
        -------
        BYOLTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or X is not as described, before any training.
        TypeError
            If X is sparse or holds what is no number, or `views` or `callbacks` are of
            no kind that is described.
        FloatingPointError
            If the loss is not finite at some step.

        Warns
        -----
        CollapseWarning
            If all images have nearly the same projection at the end.
        SmallImageWarning
            If rows have fewer than 64 features.
        """
        # Whatever fails from here on leaves nothing of an earlier fit behind.
        for name in ("encoder_", "history_", "n_iter_", "_arrays"):
            self.__dict__.pop(name, None)
        self._validate_params()
        device = resolve_device(self.device)
        callbacks = check_callbacks(self.callbacks)
        X = as_array(self, X, reset=True, min_samples=2)
        layout = layout_of(X, self.image_shape)
        images = Images(fold(X, layout), pixel_range(X))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with seeded_torch(seed):  # a callable may draw from torch's global state
            views, chosen_views = views_for(self.views, layout.shape)
        specification = EncoderSpecification(
            self.encoder, layout.shape, *channel_statistics(images)
        )
        encoder = specification.build(seed)
        with seeded_torch(seed):
            n_outputs = representation_dim(encoder, layout.shape)
        self.n_features_in_ = layout.n_values
        if X.ndim > 2:  # rows have said whether features have names
            self.__dict__.pop("feature_names_in_", None)
        self._layout, self._specification = layout, specification
        self._n_features_out = n_outputs
        self.views_ = chosen_views
        self.image_shape_ = layout.shape
        self.pixel_range_ = images.pixel_range
        is_drawing = not isinstance(self.encoder, str) or draws_globally(encoder)
        settings = self._settings(callbacks, device, seed, is_drawing)
        self.history_ = train(encoder, images.to(device), views, settings)
        self.encoder_ = encoder
        self._arrays = encoder_arrays(encoder, {})
        self.n_iter_ = len(self.history_["loss"])
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the representations of images.

        Parameters
        ----------
        X : array-like or Tensor
            Images of the shape and range of values that fit has seen, as rows or images
            in any order of axes.

        Returns
        -------
        ndarray of shape (n_samples, n_dims), float32
            One row an image, in the order of X.

        Raises
        ------
        ValueError
            If the images have another shape, number of channels or range of values than
            those of fit.
        sklearn.exceptions.NotFittedError
            If fit was not called.

        Warns
        -----
        DeviceWarning
            If `device` is not there; the best that is there is taken.
        """
        check_is_fitted(self)
        X = as_array(self, X, reset=False, min_samples=1)
        pixels = fold(X, self._layout)
        check_pixel_range(X, self.pixel_range_)
        images = Images(pixels, self.pixel_range_)
        device = device_or_best(self.device)
        encoder = self.encoder_.to(device).eval()
        rows = np.empty((len(images), self._n_features_out), dtype=np.float32)
        start = 0
        with torch.inference_mode():
            for batch in image_batches(images):
                moved = batch.to(device, memory_format=torch.channels_last)
                representations = encoder(moved)
                rows[start : start + len(batch)] = representations.float().cpu().numpy()
                start += len(batch)
        return rows

    def __sklearn_tags__(self) -> Any:
        """Say that float32 comes out and that images may come in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether fit has ended."""
        return hasattr(self, "encoder_")

    def __getstate__(self) -> dict[str, Any]:
        """Keep the encoder as arrays; nothing else of the training is kept.

        A module of the user's own is kept as itself, on the CPU, since only the user
        knows how to build it.
        """
        state = dict(super().__getstate__())
        state["_sklearn_byol_version"] = sklearn_byol.__version__
        if isinstance(self.encoder, nn.Module):
            state["encoder"] = copy.deepcopy(self.encoder).cpu()
        encoder = state.pop("encoder_", None)
        if encoder is None:
            return state
        if isinstance(self._specification.encoder, nn.Module):
            state["encoder_"] = copy.deepcopy(encoder).cpu()
            del state["_arrays"]
            state["_specification"] = replace(
                self._specification, encoder=state["encoder_"].network
            )
        else:
            self._arrays = encoder_arrays(encoder, self._arrays)
            state["_arrays"] = self._arrays
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the encoder again, on the CPU."""
        state = dict(state)
        state.pop("_sklearn_byol_version", None)
        super().__setstate__(state)
        if "_arrays" in state:
            self.encoder_ = self._specification.load(self._arrays)
        elif "encoder_" in state:
            self._arrays = {}

    def _resolve_precision(self, device: torch.device) -> torch.dtype:
        """Keep tiny images in float32: bfloat16 gradients of theirs may be NaN."""
        is_tiny = min(self.image_shape_[1:]) < 8
        name = "float32" if self.precision == "auto" and is_tiny else self.precision
        return resolve_precision(name, device)

    def _settings(
        self,
        callbacks: Sequence[Any],
        device: torch.device,
        seed: int,
        is_drawing: bool,
    ) -> TrainingSettings:
        """Gather what training needs to know."""
        warmup = self.warmup_epochs
        if isinstance(warmup, str):
            warmup = min(10.0, self.max_epochs / 10)
        return TrainingSettings(
            representation_dim=self._n_features_out,
            projection_dim=int(self.projection_dim),
            hidden_dim=int(self.hidden_dim),
            momentum=None if self.momentum == "auto" else float(self.momentum),
            lr=float(self.lr),
            weight_decay=float(self.weight_decay),
            warmup_epochs=float(warmup),
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            callbacks=callbacks,
            device=device,
            precision=self._resolve_precision(device),
            seed=seed,
            is_drawing=is_drawing,
            verbose=int(self.verbose),
        )
