"""From what a user passes as views to a pair of laws that draw them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from sklearn_byol.exceptions import ViewsWarning, warn
from sklearn_byol.views._draw import draw_view
from sklearn_byol.views._presets import PRESETS, Shape, Strengths
from sklearn_byol.views._random_views import RandomViews, resolved

TORCHVISION = "torchvision.transforms"

Function = Callable[[Tensor], Tensor]
OneView = str | RandomViews | Function
Views = OneView | tuple[OneView, OneView]


@dataclass(frozen=True)
class StrengthsLaw:
    """Draws view 0 or view 1 by strengths."""

    strengths: Strengths
    view: int

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw one view of each image."""
        return draw_view(images, self.strengths, self.view, generator)


class CallableLaw:
    """Draws views by a user's callable, which draws from torch's global state."""

    def __init__(self, function: Function, image_shape: Shape) -> None:
        self.function = function
        _try_once(function, image_shape)
        # A transform of torchvision draws once a call, so every image of a batch would
        # get the same crop and the same colours. Other callables are not looked into.
        parts = function.modules() if isinstance(function, nn.Module) else [function]
        self.is_per_image = any(
            type(part).__module__.startswith(TORCHVISION) for part in parts
        )
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


Law = StrengthsLaw | CallableLaw


class ViewPair:
    """The laws of view 1 and view 2."""

    def __init__(self, law_1: Law, law_2: Law) -> None:
        self.laws = (law_1, law_2)

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
    if isinstance(views, (tuple, list)):
        if len(views) != 2:
            raise ValueError(
                f"A pair of views has 2 members. Got {len(views)}: {views!r}."
            )
        law_1, chosen_1 = _law_of(views[0], image_shape, 0)
        law_2, chosen_2 = _law_of(views[1], image_shape, 1)
        return ViewPair(law_1, law_2), (chosen_1, chosen_2)
    law, chosen = _law_of(views, image_shape, 0)
    other = replace(law, view=1) if isinstance(law, StrengthsLaw) else law
    return ViewPair(law, other), chosen


def _law_of(views: object, image_shape: Shape, view: int) -> tuple[Law, OneView]:
    """Make the law of one view, and fill in what was passed for it."""
    if isinstance(views, str):
        if views not in {"auto", *PRESETS}:
            names = ", ".join(map(repr, ["auto", *PRESETS]))
            raise ValueError(
                f"views must be one of the presets {names}, or a RandomViews, a "
                f"callable, or a pair of these. Got {views!r}."
            )
        views = RandomViews(views)
    if isinstance(views, RandomViews):
        chosen, strengths = resolved(views, image_shape)
        return StrengthsLaw(strengths, view), chosen
    if isinstance(views, type) and issubclass(views, RandomViews):
        raise TypeError(
            "views is the class RandomViews. Pass one of it: RandomViews()."
        )
    if callable(views):
        return CallableLaw(views, image_shape), views
    raise TypeError(
        "views must be a preset's name, a RandomViews, a callable, or a pair of these. "
        f"Got {views!r}."
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
