"""From what a user passes as views to a pair of laws that draw them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from sklearn.base import clone
from torch import Generator, Tensor, nn

from sklearn_byol.exceptions import ViewsWarning, warn
from sklearn_byol.views._draw import Function, draw_view
from sklearn_byol.views._presets import PRESETS, Shape, preset_for
from sklearn_byol.views._random_views import RandomViews, resolved

TORCHVISION = "torchvision.transforms"

Law = Callable[[Tensor, Generator], Tensor]  # draws one view of each image
OneView = str | RandomViews | Function
Views = OneView | tuple[OneView, OneView]


class CallableLaw:
    """Draws views by a user's callable, which draws from torch's global state."""

    def __init__(self, function: Function, image_shape: Shape) -> None:
        self.function = function
        _try_once(function, image_shape)
        # A transform of torchvision draws once a call, so every image of a batch would
        # get the same crop and the same colours. Other callables are not looked into.
        parts = function.modules() if isinstance(function, nn.Module) else [function]
        homes = [type(part).__module__ for part in parts]
        self.is_per_image = any(home.startswith(TORCHVISION) for home in homes)
        if self.is_per_image:
            warn(
                f"{function!r} draws once for all images of a batch, so it is applied "
                "to one image at a time, which is slow. Silence this by passing "
                "RandomViews or a callable that draws for each image, or filter "
                "sklearn_byol.exceptions.ViewsWarning.",
                ViewsWarning,
            )

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw one view of each image; the generator is not used."""
        if self.is_per_image:
            return torch.cat([self.function(image[None].clone()) for image in images])
        return self.function(images.clone())


@dataclass
class ViewPair:
    """The laws of view 1 and view 2."""

    laws: tuple[Law, Law]

    @property
    def draws_globally(self) -> bool:
        """Whether drawing moves torch's global random state."""
        return any(isinstance(law, CallableLaw) for law in self.laws)

    def __call__(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw view 1 and view 2 of images (n, n_channels, height, width) in [0, 1]."""
        law_1, law_2 = self.laws
        return law_1(images, generator), law_2(images, generator)


def views_for(views: object, image_shape: Shape) -> tuple[ViewPair, Views]:
    """Fit a user's views to images; also what was passed, with all strengths given."""
    if not isinstance(views, (tuple, list)):
        return _pair_of(views, image_shape)
    if len(views) != 2:
        raise ValueError(f"A pair of views has 2 members. Got {len(views)}: {views!r}.")
    first, chosen_1 = _pair_of(views[0], image_shape)
    second, chosen_2 = _pair_of(views[1], image_shape)
    return ViewPair((first.laws[0], second.laws[1])), (chosen_1, chosen_2)


def mirrors(views: Any, image_shape: Shape) -> bool:
    """Tell whether all views may be mirrored, left to right."""
    parts = views if isinstance(views, tuple | list) else [views]
    return all(_horizontal_flip(one, image_shape) for one in parts)


def _horizontal_flip(view: Any, image_shape: Shape) -> float:
    """Say how often one view is mirrored, as far as it is known."""
    if isinstance(view, str):
        view = RandomViews(view)
    if not isinstance(view, RandomViews):
        return 0.0
    if view.horizontal_flip is not None:
        return float(view.horizontal_flip)
    return preset_for(view.preset, image_shape)[1].horizontal_flip


def with_size(views: Any, size: float, *, replaces: bool = False) -> Any:
    """State the size of views that state none, or of all.

    Beside a callable, whose views have the size of the image, others keep it too.
    """
    parts = [*views] if isinstance(views, tuple | list) else [views]
    if not replaces and not all(isinstance(one, str | RandomViews) for one in parts):
        return views
    sized = [_sized(one, size, replaces=replaces) for one in parts]
    return sized if isinstance(views, tuple | list) else sized[0]


def _sized(view: Any, size: float, *, replaces: bool) -> Any:
    """State the size of one view, unless it is a function or has no such parameter."""
    if isinstance(view, str) and view in {"auto", *PRESETS}:
        view = RandomViews(view)
    if not isinstance(view, RandomViews) or "size" not in view.get_params(deep=False):
        return view
    return clone(view).set_params(size=size) if replaces or view.size is None else view


def _pair_of(views: object, image_shape: Shape) -> tuple[ViewPair, OneView]:
    """Make the laws of what draws both views, and fill in what was passed for it."""
    if isinstance(views, str) and views in {"auto", *PRESETS}:
        views = RandomViews(views)
    if isinstance(views, RandomViews):
        chosen, strengths = resolved(views, image_shape)
        laws = partial(draw_view, strengths, 0), partial(draw_view, strengths, 1)
        return ViewPair(laws), chosen
    if isinstance(views, type) and issubclass(views, RandomViews):
        raise TypeError(
            "views is the class RandomViews. Pass one of it: RandomViews()."
        )
    if callable(views):
        return ViewPair((CallableLaw(views, image_shape),) * 2), views
    kind = ValueError if isinstance(views, str) else TypeError
    names = ", ".join(map(repr, ["auto", *PRESETS]))
    raise kind(
        f"views must be one of the presets {names}, or a RandomViews, a callable, or "
        f"a pair of these. Got {views!r}."
    )


def _try_once(function: Function, image_shape: Shape) -> None:
    """Show four images of noise to a user's function and check what it returns."""
    shape = (4, *image_shape)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    try:
        views: object = function(noise)
    except Exception as error:
        error.add_note(f"This is about views={function!r}, tried on noise.")
        raise
    if not isinstance(views, Tensor) or views.shape != shape:
        got = tuple(views.shape) if isinstance(views, Tensor) else type(views).__name__
        raise ValueError(
            f"views={function!r} must return a tensor of the shape it is given, "
            f"{shape}; it returned {got!r}. Resize or pad inside it."
        )
    if not views.is_floating_point() or not views.isfinite().all():
        raise ValueError(
            f"views={function!r} must return finite floats, as it is given. It "
            f"returned {views.dtype} with values that are no such numbers."
        )
