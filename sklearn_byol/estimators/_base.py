"""What both estimators share: they are saved, exported, and take images."""

import copy
import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_byol._about import HasPage
from sklearn_byol.estimators._callback_parameters import (
    PREFIX,
    cloned_callbacks,
    nested_parameters,
    with_parameters,
)
from sklearn_byol.estimators._exporting import write_onnx, write_safetensors
from sklearn_byol.estimators._saving import (
    Arrays,
    encoder_arrays,
    that_was_saved,
    to_save,
)
from sklearn_byol.images._pixel_range import Fitted
from sklearn_byol.images._reader import Source
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.networks._image_encoder import ImageEncoder
from sklearn_byol.training._callbacks import Given
from sklearn_byol.training._checkpoints import State

# What fit learns besides what users see.
OWN = {"_arrays", "_fitted", "_n_features_out", "_networks", "_specification", "_state"}


def _is_learned(name: str) -> bool:
    """Tell what fit sets from parameters and from what scikit-learn keeps."""
    return name.endswith("_") or name in OWN


def _is_ours(views: object) -> bool:
    """Tell what has parameters as scikit-learn has them."""
    return isinstance(views, BaseEstimator)


def cloned_views(views: Any) -> Any:
    """Clone views; transforms of torchvision, and the like, are copied."""
    if isinstance(views, list | tuple):
        return type(views)([cloned_views(part) for part in views])
    return clone(views) if _is_ours(views) else copy.deepcopy(views)


class BYOLEstimator(HasPage, BaseEstimator):
    """An estimator whose fit ends with an encoder."""

    callbacks: Given | None
    views: Any  # of those that draw some
    encoder_: ImageEncoder
    image_shape_: tuple[int, int, int]
    _arrays: Arrays  # weights of the encoder, as they are saved
    _fitted: Fitted  # what later images are compared with
    _n_features_out: int
    _networks: dict[str, str]  # in words, what they are made of
    _specification: EncoderSpecification  # what the encoder is built from
    _state: State  # of the training, where it may go on
    # What looks at the images of X, once all are read and before any training.
    _look: Callable[[Source], None]

    def _forget(self) -> None:
        """Leave nothing of an earlier fit behind."""
        for name in list(vars(self)):
            if _is_learned(name):
                delattr(self, name)

    def _twin(self, *, is_fitted: bool) -> Self:
        """Return an estimator that holds the same objects, those of fit if it is to.

        The twin is fitted, so that this one stays what it was until all is done.
        """
        twin = object.__new__(type(self))
        held = vars(self).items()
        twin.__dict__.update(
            {k: value for k, value in held if is_fitted or not _is_learned(k)}
        )
        return twin

    def _become(self, twin: Self) -> Self:
        """Take all that a twin has learned, and leave nothing of before."""
        self._forget()
        self.__dict__.update(vars(twin))
        return self

    def _note_what_is_left(self, error: BaseException) -> None:
        """Say behind an error of training that what was fitted before still is."""
        is_exit = not isinstance(error, Exception)
        is_of_training = is_exit or isinstance(error, FloatingPointError)
        has_notes = bool(getattr(error, "__notes__", ()))
        if self.__sklearn_is_fitted__() and (is_of_training or has_notes):
            error.add_note("What was fitted before is still there.")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of parameters are among them, and of callbacks by their
            names: `callbacks__EarlyStopping__patience`.

        Returns
        -------
        dict of str to object
            Parameters by name.
        """
        # Those of torchvision's transforms are no parameters in this sense.
        views = getattr(self, "views", None)
        is_strange = deep and hasattr(views, "get_params") and not _is_ours(views)
        found: dict[str, Any] = super().get_params(deep=deep and not is_strange)
        callbacks = nested_parameters(self.callbacks) if deep else {}
        return found | callbacks

    def set_params(self, **params: Any) -> Self:
        """Set parameters.

        Parameters
        ----------
        **params : object
            Parameters by name; those of parameters behind two underscores, those of
            callbacks behind the name of the callback, which is its class if it has no
            other: `callbacks__EarlyStopping__patience`. None in the place of a
            callback, `callbacks__EarlyStopping=None`, takes it out.

        Returns
        -------
        BYOLEstimator
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no such parameter or callback.
        """
        inside = {key: v for key, v in params.items() if key.startswith(PREFIX)}
        others = {key: value for key, value in params.items() if key not in inside}
        super().set_params(**others)
        if inside:
            self.callbacks = with_parameters(self.callbacks, inside)
        return self

    def __sklearn_clone__(self) -> Self:
        """Clone it; callbacks that cannot be made anew are shared by the clones."""
        bare = self._twin(is_fitted=False)
        bare.callbacks = None
        views = getattr(self, "views", None)
        if views is not None:
            bare.views = None
        cloned: Self = BaseEstimator.__sklearn_clone__(bare)
        cloned.callbacks = cloned_callbacks(self.callbacks)
        if views is not None:
            cloned.views = cloned_views(views)
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        """Return parameters, arrays and plain values."""
        if hasattr(self, "_arrays"):  # which may have been moved
            self._arrays = encoder_arrays(self.encoder_, self._arrays)
        state = super().__getstate__()
        state.pop("callbacks_", None)  # with what they have collected
        return to_save(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Check what was saved, and build the encoder on the CPU."""
        super().__setstate__(that_was_saved(state, type(self).__name__))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether fit has ended."""
        return hasattr(self, "encoder_")

    @property
    def channel_ranges_(self) -> NDArray[np.float64]:
        """What counts as 0 and as 1 in each channel (n_channels, 2)."""
        return self._fitted.channel_ranges

    def __sklearn_tags__(self) -> Tags:
        """Say that images may come in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def to_safetensors(self, path: str | os.PathLike[str]) -> None:
        """Write the weights of `encoder_` to a file of safetensors.

        `BYOLTransformer(encoder, weights=path)` with the same `encoder`, and `readout`,
        begins with them, and with `max_epochs=0` ends with them. Such a file holds
        numbers only, so that it is safe to read whoever wrote it. The shape of an
        image, the encoder, how its first layers were built, `hog`, `mirror` and
        `unit_variance` are in its metadata.
        Needs safetensors: `pip install 'sklearn-byol[safetensors]'`.

        Parameters
        ----------
        path : path
            Where to write, ending in .safetensors; a file that is there is replaced
            when the new one is whole.

        Raises
        ------
        ValueError
            If the path has another ending.
        ImportError
            If safetensors is not installed.
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        write_safetensors(path, self)

    def to_onnx(self, path: str | os.PathLike[str], X: object = None) -> None:
        """Write a file of ONNX that takes pixels as they are.

        The graph scales and normalises the pixels itself. It takes any number of images
        at a time, under the name "X", and gives float32 as "representations", or as
        "probabilities" if it is a classifier's, whose classes are in the metadata of
        the file. What is not in it: decoding and resizing of files, and the errors that
        transform raises for pixels of another range. Needs onnx, onnxscript and torch
        2.9 or newer: `pip install 'sklearn-byol[onnx]'`.

        Parameters
        ----------
        path : path
            Where to write; a file that is there is replaced when the new one is whole.
        X : array-like or Tensor, default=None
            One image or more, whose shape and dtype those of the graph are: rows, gray
            images or images with channels first or last, as transform takes them. None
            is images (n_images, height, width, n_channels), or (n_images, n_channels,
            height, width) where fit was given channels first or gray images without an
            axis for them; of uint8 where the pixels of fit were integers from 0 to 255,
            else of float32.

        Raises
        ------
        ValueError
            If X is not as transform takes it or has a dtype that ONNX lacks, or the
            encoder does what ONNX cannot express.
        ImportError
            If onnx or onnxscript is not installed, or torch is older than 2.9.
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        write_onnx(path, self, X)
