"""X as an array of numbers, or why it is none, which numpy would say less well."""

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images._layout import Layout, Pixels

WANTED = (
    "Pass rows (n_samples, n_features), gray images (n_samples, height, width), images "
    "(n_samples, height, width, n_channels), a list of images or paths, a folder, or a "
    "map-style Dataset."
)
OF_FRAMES = "Pass the columns of pixels only, or the one column that holds paths."
N_NAMED = 5  # images that an error names
N_NESTED = 8  # lists in lists that are looked through
OF_NUMPY = {torch.float16, torch.float32, torch.float64}


def as_array(
    estimator: BaseEstimator,
    X: object,
    *,
    reset: bool,
    skips: bool = False,
    layout: Layout | None = None,
    has_features: bool = True,
) -> Pixels:
    """Check X as scikit-learn does; two to four axes, not copied if it is an array.

    Rows set (in fit) or check `n_features_in_` and `feature_names_in_`. Images leave
    that to the caller, who knows how many values an image has. Integers keep their
    type. Images with values that are no numbers are an error that names them, unless
    they are to be skipped. Where the layout is known, one image is an error too. Where
    fit had a column of images, values are no features to be compared.
    """
    array = _plain(X)
    if isinstance(array, np.ndarray):
        _refuse_values(array)
        array = _without_long_doubles(array)
    if not hasattr(array, "toarray"):  # sparse: scikit-learn refuses it well
        _refuse_one(array.shape, X, layout)
        _refuse_shape(array.shape, X)
    try:
        if len(array.shape) == 2 and has_features:
            found = validate_data(
                estimator, array, reset=reset, ensure_all_finite=False
            )
        else:
            found = check_array(
                array,
                allow_nd=True,
                ensure_all_finite=False,
                estimator=estimator,
                input_name="X",
            )
    except (TypeError, ValueError) as error:
        if re.search(r"\bX\b|feature names", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        words = str(error).partition("\n")[0][:200].rstrip(".")
        wanted = OF_FRAMES if hasattr(array, "columns") else WANTED
        raise kind(f"X cannot be read as images: {words}. {wanted}") from error
    if not skips:
        _refuse_missing(found)
    return found


def _without_long_doubles(array: Pixels) -> Pixels:
    """Make doubles of long doubles, in which older scikit-learn finds no NaN."""
    if array.dtype.kind != "f" or array.dtype.itemsize <= 8:
        return array
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        return array.astype(np.float64)


def learn_column(estimator: BaseEstimator, name: str | None) -> None:
    """Set `feature_names_in_` to the name of the one column, if it has one."""
    vars(estimator).pop("feature_names_in_", None)
    if name is not None:
        estimator.feature_names_in_ = np.array([name], dtype=object)


def check_column(estimator: BaseEstimator, name: str | None) -> None:
    """Refuse a column of another name than that of fit, where both have one."""
    (known,) = getattr(estimator, "feature_names_in_", [None])
    if None not in {name, known} and name != known:
        raise ValueError(
            "The feature names should match those that were passed during fit: X has "
            f"the column {name!r}, and fit had {known!r}. Pass the same column, or its "
            "values as a list."
        )


def finite_images(array: Pixels) -> NDArray[np.intp] | None:
    """Return which images have only numbers; None if all have."""
    if array.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        if np.isfinite(np.sum(array)):
            return None
    is_finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return None if is_finite.all() else np.flatnonzero(is_finite)


def _refuse_missing(array: Pixels) -> None:
    """Name the images that have values which are no numbers."""
    finite = finite_images(array)
    if finite is None:
        return
    places = np.setdiff1d(np.arange(len(array)), finite)
    has_nan = bool(np.isnan(array[places]).any())
    what = "NaN" if has_nan else f"infinity or a value too large for {array.dtype!r}"
    named = ", ".join(f"X[{place}]" for place in places[:N_NAMED])
    more = f" and {len(places) - N_NAMED} more" if len(places) > N_NAMED else ""
    raise UnreadableImagesError(
        f"Input X contains {what}. {len(places)} of {len(array)} images cannot be "
        f"read: {named}{more}. Put numbers in place of these values, or pass "
        "on_error='skip'."
    )


def tensor_as_array(X: torch.Tensor) -> Pixels:
    """View a tensor as an array; floats that numpy lacks become float32."""
    kind = "nested" if X.is_nested else str(X.layout)
    kind = "quantized" if X.is_quantized else "meta" if X.is_meta else kind
    if kind != "torch.strided":
        raise TypeError(
            f"X is a tensor that is {kind}, of which no array can be made. Pass a "
            "tensor of plain numbers, as to_dense() or dequantize() returns it."
        )
    X = X.detach().cpu()
    if X.is_floating_point() and X.dtype not in OF_NUMPY:
        X = X.float()
    return X.resolve_conj().resolve_neg().numpy()


def _plain(X: object) -> Any:
    """Make an array of all but frames, sparse matrices and others' arrays."""
    if isinstance(X, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in X):
        X = [tensor_as_array(x) for x in X]
    if isinstance(X, torch.Tensor):
        return tensor_as_array(X)
    known = ("columns", "toarray", "__array_namespace__")
    has_shape = isinstance(getattr(X, "shape", 0), tuple)
    is_theirs = has_shape and any(hasattr(X, name) for name in known)
    if is_theirs or isinstance(X, np.ndarray):
        return X
    _refuse_nesting(X)
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            "X holds rows or images of different sizes. Pass rows of one "
            "length, or a list of arrays with image_shape=(height, width) to resize "
            "them."
        ) from error


def _refuse_nesting(X: object) -> None:
    """Refuse lists that may hold themselves, of which numpy never makes an array."""
    for _ in range(N_NESTED):
        if not isinstance(X, (list, tuple)) or not X:
            return
        X = X[0]
    raise ValueError(f"X is nested more than {N_NESTED} lists deep. {WANTED}")


def _refuse_one(shape: tuple[int, ...], X: object, layout: Layout | None) -> None:
    """Refuse one image of a known layout, where a batch of images is expected."""
    if layout is None or not layout.is_one(shape):
        return
    if isinstance(X, (list, tuple)):
        if len(shape) == 3 and all(getattr(x, "ndim", 0) == 2 for x in X):
            return  # as many gray images as there are channels
        way_out = "[X]"
    elif hasattr(X, "to_frame") and hasattr(X, "index"):
        way_out = "X.to_frame().T"  # which keeps the names of features
    elif hasattr(X, "to_numpy"):
        way_out = "X.to_numpy()[None]"
    else:
        way_out = "X[None]" if hasattr(X, "reshape") else "np.asarray(X)[None]"
    what = f"of shape {shape}" if len(shape) > 1 else f"a row of {shape[0]} values"
    reshape = " Reshape your data, one row per image." if len(shape) == 1 else ""
    raise ValueError(
        f"X is one image, {what}, and no batch of images: pass {way_out}.{reshape}"
    )


def _refuse_shape(shape: tuple[int, ...], X: object) -> None:
    """Refuse what has one axis or none, more than four, or an empty one."""
    if not shape:
        is_value = isinstance(X, (np.ndarray, np.generic, torch.Tensor))
        what = "a single value" if is_value else f"of type {type(X).__name__}"
        raise TypeError(f"X is {what}. {WANTED}")
    if 0 in shape and shape[1:] != (0,):  # of which scikit-learn tells
        what = "has an axis of length 0:"
        if not shape[0]:
            what = "holds no images: found 0 sample(s),"
        raise ValueError(f"X {what} its shape is {shape}. {WANTED}")
    if len(shape) == 1:
        one, many = (
            f"X.reshape({new})" if hasattr(X, "reshape") else f"np.reshape(X, ({new}))"
            for new in ("1, -1", "-1, 1")
        )
        raise ValueError(
            f"X has one axis, of {shape[0]} values. Reshape your data: {one} is one "
            f"image, {many} are images of one pixel. {WANTED}"
        )
    if len(shape) > 4:
        raise ValueError(f"X has {len(shape)} axes. {WANTED}")


def _refuse_values(X: Pixels) -> None:
    """Refuse strings, dates, structures, and masks that hide something."""
    first = X.flat[0] if X.dtype.kind == "O" and X.size else None
    if X.dtype.kind in "US" or isinstance(first, (str, bytes)):
        raise ValueError(
            "X holds strings where pixels are expected. Pass images as an array of "
            "shape (n_samples, height, width, n_channels), or one list of paths."
        )
    if np.ma.is_masked(X):
        raise ValueError(
            f"X is a masked array with {np.ma.count_masked(X)} masked values, which "
            "have no meaning here. Pass X.filled(value)."
        )
    if X.dtype.kind in "mMV":
        raise TypeError(
            f"X holds values of the type {X.dtype}, which are no pixels. Pass numbers, "
            "as a field of a structured array or X.astype(float)."
        )
