"""BYOLTransformer: images without labels in, representations out."""

from collections.abc import Callable, Sequence
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
from torch.optim import Optimizer

from sklearn_byol._persistence import (
    EncoderSpecification,
    SavesEncoder,
    encoder_arrays,
)
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
    OPTIMIZERS,
    Schedule,
    TrainingSettings,
    check_callbacks,
    device_or_best,
    draws_globally,
    resolve_device,
    resolve_precision,
    resolve_schedule,
    seeded_torch,
    train,
    warn_of_risks,
)
from sklearn_byol.views import RandomViews, views_for

__all__ = ["BYOLTransformer"]


class BYOLTransformer(
    SavesEncoder, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Learn image representations without labels, by Bootstrap Your Own Latent.

    Two randomly changed copies of each image, its views, go through an online network
    and through a target network, a slow average of the online one. The online network
    learns to predict, from one view, what the target network makes of the other. What
    the encoder has learned on the way serves a classifier that sees few labels.

    Parameters
    ----------
    encoder : str, nn.Module or callable, default="auto"
        The network that is kept. "auto" is a small residual network sized to the image.
        The name of a torchvision classifier, such as "resnet18", or "timm/NAME" takes
        that network without its classification head. A module is copied, a function
        without arguments is called; both must turn normalised images of shape
        (n_images, n_channels, height, width) into vectors (n_images, n_dims) or feature
        maps (n_images, n_maps, map_height, map_width).
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
    readout : int or "auto", default="auto"
        Cells on each side of the grid that the last feature map is averaged over, at
        least 1: a representation has readout ** 2 numbers for each of its channels.
        1 is the global average of the paper. "auto" is 2 for the "auto" encoder from 8
        pixels on, else 1.
    projection_dim : int, default=256
        Length of what is predicted, at least 1.
    hidden_dim : int, default=1024
        Width of the hidden layer of projector and predictor, at least 1; the paper's is
        4096, for ResNet-50.
    momentum : float or "auto", default="auto"
        How slowly the target network follows the online network at the first step, in
        [0, 1]; it rises to 1 by the last step. Short trainings want a lower value:
        "auto" takes 0.9 up to 200 steps, 0.95 at 400 and 0.99 from 2,000 on.
    optimizer : {"adamw", "sgd", "lars"} or callable, default="adamw"
        AdamW, SGD with a momentum of 0.9, LARS, or what returns an optimizer of torch
        when called with parameters, `lr` and `weight_decay`, such as a class of
        torch.optim.
    lr : float or "auto", default="auto"
        The largest learning rate, above 0; it falls to 0 on a cosine. For batches of
        128 images "auto" is 3e-3 for "adamw", 0.06 for "sgd" and 0.5 for "lars"; it
        grows with the root of the batch for "adamw", else with the batch.
        A learning rate of a paper is meant for its optimizer, and often to be
        multiplied by batch_size / 256.
    weight_decay : float or "auto", default="auto"
        Decay of the weights, at least 0; biases and norm parameters do not decay.
        "auto" is 1e-4 for "adamw" and "sgd", 1e-6 for "lars", else 0.
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
    lr_, weight_decay_, momentum_, warmup_epochs_ : float
        What was taken for the parameters of these names.
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
        "readout": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "projection_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden_dim": [Interval(Integral, 1, None, closed="left")],
        "momentum": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
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
        readout: int | str = "auto",
        projection_dim: int = 256,
        hidden_dim: int = 1024,
        momentum: float | str = "auto",
        optimizer: str | Callable[..., Optimizer] = "adamw",
        lr: float | str = "auto",
        weight_decay: float | str = "auto",
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
        self.readout = readout
        self.projection_dim = projection_dim
        self.hidden_dim = hidden_dim
        self.momentum = momentum
        self.optimizer = optimizer
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
            self.encoder, layout.shape, *channel_statistics(images), self.readout
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
        schedule = self._resolve_schedule(len(images))
        warn_of_risks(encoder, self.optimizer, schedule.lr, self.batch_size)
        settings = self._settings(callbacks, device, schedule, seed, is_drawing)
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

    def _resolve_schedule(self, n_images: int) -> Schedule:
        """Turn what is "auto" into numbers, and keep them as fitted attributes."""
        schedule = resolve_schedule(
            self.optimizer,
            self.lr,
            self.weight_decay,
            self.momentum,
            self.warmup_epochs,
            n_images=n_images,
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
        )
        self.lr_ = schedule.lr
        self.weight_decay_ = schedule.weight_decay
        self.momentum_ = schedule.momentum
        self.warmup_epochs_ = schedule.warmup_epochs
        return schedule

    def _settings(
        self,
        callbacks: Sequence[Any],
        device: torch.device,
        schedule: Schedule,
        seed: int,
        is_drawing: bool,
    ) -> TrainingSettings:
        """Gather what training needs to know."""
        return TrainingSettings(
            representation_dim=self._n_features_out,
            projection_dim=int(self.projection_dim),
            hidden_dim=int(self.hidden_dim),
            optimizer=self.optimizer,
            schedule=schedule,
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            callbacks=callbacks,
            device=device,
            precision=resolve_precision(self.precision, device, self.image_shape_),
            seed=seed,
            is_drawing=is_drawing,
            verbose=int(self.verbose),
        )
