"""Warnings that point at the line of the user's that caused them."""

import inspect
import warnings

__all__ = ["warn"]

PACKAGE = __name__.partition(".")[0]


def warn(message: str, category: type[Warning]) -> None:
    """Warn in the name of the first caller outside of this package.

    Parameters
    ----------
    message : str
        What to say.
    category : type of Warning
        One of `sklearn_byol.exceptions`.
    """
    frame, level = inspect.currentframe(), 1
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
