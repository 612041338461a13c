"""What values pixels can have: learned in fit, compared in transform."""

from typing import Any

from numpy.typing import NDArray

__all__ = ["check_pixel_range", "pixel_range"]

KNOWN = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))


def pixel_range(X: NDArray[Any]) -> tuple[float, float]:
    """Learn the range of pixel values.

    The first of [0, 1], [-1, 1], [0, 255] and [0, 65535] that holds all values and of
    which they reach more than a quarter; else the smallest and the largest value, as
    for digits counted from 0 to 16.

    Parameters
    ----------
    X : ndarray
        Images of any layout.

    Returns
    -------
    (float, float)
        The value that counts as 0 and the value that counts as 1.
    """
    low, high = float(X.min()), float(X.max())
    for known_low, known_high in KNOWN:
        if known_low <= low and known_high / 4 < high <= known_high:
            return known_low, known_high
    return (low, high) if high > low else (low, low + 1.0)


def check_pixel_range(X: NDArray[Any], fitted: tuple[float, float]) -> None:
    """Raise if the values of X are on another scale than in fit.

    Two mistakes are seen: values beyond the fitted range by more than its length, and
    floats in [0, 1] where the fitted range reaches 8 or more. The second is asked of
    images of 64 values or more only, since a row of a table may well be that small.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        Images of any layout.
    fitted : (float, float)
        What `pixel_range` returned in fit.

    Raises
    ------
    ValueError
        If the scale differs.
    """
    low, high = float(X.min()), float(X.max())
    length = fitted[1] - fitted[0]
    is_beyond = low < fitted[0] - length or high > fitted[1] + length
    is_shrunk = (
        X.dtype.kind == "f"
        and X[0].size >= 64
        and fitted[0] >= 0
        and fitted[1] >= 8
        and low >= 0
        and 0 < high <= 1
    )
    if is_beyond or is_shrunk:
        raise ValueError(
            f"X has values from {low:g} to {high:g}, but this BYOLTransformer was "
            f"fitted on pixels from {fitted[0]:g} to {fitted[1]:g}. Scale X as in fit, "
            "or fit again."
        )
