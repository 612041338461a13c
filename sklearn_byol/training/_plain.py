"""Numbers and strings of the history, as Python's own."""

from numbers import Real
from typing import Any

from torch import Tensor

__all__ = ["is_number", "number", "plain"]


def is_number(value: Any) -> bool:
    """Tell numbers, numpy's and tensors of one among them, from the rest."""
    is_single = isinstance(value, Tensor) and value.numel() == 1
    return is_single or (isinstance(value, Real) and not isinstance(value, bool))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Keep the numbers and strings of a row of the history, as Python's own."""
    numbers = {key: number(value) for key, value in row.items() if is_number(value)}
    strings = {key: value for key, value in row.items() if type(value) in {str, bool}}
    return {**numbers, **strings}


def number(value: Any) -> float:
    """Turn a number into Python's own."""
    found: float = value.item() if hasattr(value, "item") else value
    return found
