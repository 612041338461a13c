"""From what a user passes as views to a pair of them."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sklearn_byol.views._draw import CallableLaw, Law, StrengthsLaw, ViewPair
from sklearn_byol.views._presets import PRESETS, Strengths
from sklearn_byol.views._random_views import RandomViews

__all__ = ["Views", "views_for"]

OneView = str | RandomViews | Callable[[Tensor], Tensor]
Views = OneView | tuple[OneView, OneView]


def views_for(views: Any, image_shape: tuple[int, int, int]) -> tuple[ViewPair, Any]:
    """Fit views to images.

    Parameters
    ----------
    views : str, RandomViews, callable, or a pair of these
        A preset's name, strengths, or a function from a float batch of shape
        (n, n_channels, height, width) in [0, 1] to a batch of the same shape. Of a
        pair, the first draws view 1 and the second view 2.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.

    Returns
    -------
    pair : ViewPair
        What draws the two views.
    chosen : RandomViews, callable, or a pair of these
        What was passed, with presets and strengths filled in.

    Raises
    ------
    ValueError
        If a preset or a strength is not known or allowed, or if a callable returns
        anything but a batch of the same shape.
    TypeError
        If `views` is of none of these kinds.
    """
    if isinstance(views, (tuple, list)):
        if len(views) != 2:
            raise ValueError(
                f"A pair of views has 2 members. Got {len(views)}: {views!r}."
            )
        chosen = tuple(_chosen(one, image_shape) for one in views)
        law_1, law_2 = (_law(one, image_shape, view) for view, one in enumerate(chosen))
        return ViewPair(law_1, law_2), chosen
    one = _chosen(views, image_shape)
    law_1 = _law(one, image_shape, 0)
    law_2 = _law(one, image_shape, 1) if isinstance(one, RandomViews) else law_1
    return ViewPair(law_1, law_2), one


def _chosen(views: Any, image_shape: tuple[int, int, int]) -> Any:
    """Resolve presets; pass callables on."""
    if isinstance(views, str):
        if views not in {"auto", *PRESETS}:
            names = ", ".join(map(repr, ["auto", *PRESETS]))
            raise ValueError(
                f"views must be one of the presets {names}, or a RandomViews, a "
                f"callable, or a pair of these. Got {views!r}."
            )
        views = RandomViews(views)
    if isinstance(views, RandomViews):
        return views.resolve(image_shape)
    if isinstance(views, type) and issubclass(views, RandomViews):
        raise TypeError(
            "views is the class RandomViews. Pass one of it: RandomViews()."
        )
    if callable(views):
        return views
    raise TypeError(
        "views must be a preset's name, a RandomViews, a callable, or a pair of these. "
        f"Got {views!r}."
    )


def _law(views: Any, image_shape: tuple[int, int, int], view: int) -> Law:
    """Make the law of view 0 or view 1."""
    if not isinstance(views, RandomViews):
        return CallableLaw(views, image_shape)
    names = Strengths.__dataclass_fields__
    return StrengthsLaw(
        Strengths(**{name: getattr(views, name) for name in names}), view
    )
