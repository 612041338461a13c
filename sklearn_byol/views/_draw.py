"""From strengths, or from a user's own callable, to pairs of views."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from sklearn_byol.exceptions import ViewsWarning, warn
from sklearn_byol.views import _colour, _filters, _geometry
from sklearn_byol.views._presets import Strengths

__all__ = ["CallableLaw", "StrengthsLaw", "ViewPair", "draw_view"]

TORCHVISION = "torchvision.transforms"
N_TRIES = 64


def draw_view(
    images: Tensor, strengths: Strengths, view: int, generator: Generator
) -> Tensor:
    """Draw one view of each image: geometry, colours, blur, solarization.

    Parameters
    ----------
    images : Tensor of shape (n, n_channels, height, width)
        Images in [0, 1]; they are not changed.
    strengths : Strengths
        How strong each part is.
    view : int
        0 or 1: whose probabilities of blur and solarization hold.
    generator : Generator
        Where all draws come from, on the device of the images.

    Returns
    -------
    Tensor of shape (n, n_channels, height, width)
        Views in [0, 1].
    """
    views = _draw_geometry(images, strengths, generator)
    views = _draw_colour(views, strengths, generator)

    def blur(some: Tensor) -> Tensor:
        if min(some.shape[-2:]) == 1:
            return some
        sigmas = _geometry.uniform((len(some),), *strengths.blur_sigma, generator)
        return _filters.gaussian_blur(some, sigmas).clamp_(0, 1).contiguous()

    views = _apply_to_some(views, blur, strengths.blur[view], generator)

    def solarize(some: Tensor) -> Tensor:
        return _filters.solarize(some, strengths.solarize_threshold)

    return _apply_to_some(
        views, solarize, strengths.solarize[view], generator, is_cheap=True
    )


def _draw_geometry(
    images: Tensor, strengths: Strengths, generator: Generator
) -> Tensor:
    """Perspective, rotation, flips and crop, in this order, as one homography."""
    n, size = len(images), (images.shape[-2], images.shape[-1])
    parts = []
    if strengths.perspective:
        corners = _geometry.draw_corners(n, size, strengths.perspective, generator)
        unmoved = _geometry.draw_corners(n, size, 0.0, generator)
        probability = strengths.perspective_probability
        is_drawn = _geometry.uniform((n, 1, 1), 0, 1, generator) < probability
        corners = torch.where(is_drawn, corners, unmoved)
        parts.append(_geometry.perspective_homographies(corners, size))
    if strengths.rotation:
        limit = strengths.rotation
        degrees = _geometry.uniform((n,), -limit, limit, generator)
        parts.append(_geometry.rotation_homographies(degrees))
    if strengths.horizontal_flip or strengths.vertical_flip:
        draws = _geometry.uniform((2, n), 0, 1, generator)
        parts.append(
            _geometry.flip_homographies(
                draws[0] < strengths.horizontal_flip, draws[1] < strengths.vertical_flip
            )
        )
    if strengths.crop_scale != (1.0, 1.0):
        scale, ratio = strengths.crop_scale, strengths.crop_ratio
        boxes = _geometry.draw_boxes(n, size, scale, ratio, generator)
        parts.append(_geometry.crop_homographies(boxes, size))
    if not parts:
        return images
    homographies = parts[0]
    for part in parts[1:]:
        homographies = homographies @ part
    return _geometry.warp(images, homographies, is_affine=not strengths.perspective)


def _draw_colour(images: Tensor, strengths: Strengths, generator: Generator) -> Tensor:
    """Jitter, grayscale and inversion as one map, without hue where it needs RGB."""
    is_rgb = images.shape[1] == 3
    amounts = {
        "brightness": strengths.brightness,
        "contrast": strengths.contrast,
        "saturation": strengths.saturation if is_rgb else 0.0,
        "hue": strengths.hue if is_rgb else 0.0,
        "grayscale": strengths.grayscale if is_rgb else 0.0,
        "inversion": strengths.inversion,
    }
    if not any(amounts.values()):
        # Resampling may leave [0, 1] by a rounding error.
        return images.clamp(0, 1)
    draws = _colour.draw_colours(
        len(images),
        **amounts,
        jitter_probability=strengths.jitter_probability,
        generator=generator,
    )
    return _colour.apply_colour(images, draws)


def _apply_to_some(
    images: Tensor,
    function: Callable[[Tensor], Tensor],
    probability: float,
    generator: Generator,
    *,
    is_cheap: bool = False,
) -> Tensor:
    """Apply a function to each image with a probability.

    To learn which images were drawn is to wait for a GPU, so there what is cheap is
    computed for all of them.
    """
    if probability == 0:
        return images
    is_drawn = _geometry.uniform((len(images),), 0, 1, generator) < probability
    if probability == 1:
        return function(images)
    if is_cheap and generator.device.type != "cpu":
        return torch.where(is_drawn[:, None, None, None], function(images), images)
    chosen = is_drawn.nonzero()[:, 0]
    if not len(chosen):
        return images
    return images.index_copy(0, chosen, function(images[chosen]))


class StrengthsLaw:
    """Draws one of the two views by strengths."""

    draws_globally = False

    def __init__(self, strengths: Strengths, view: int) -> None:
        self.strengths = strengths
        self.view = view

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Draw one view of each image."""
        return draw_view(images, self.strengths, self.view, generator)


class CallableLaw:
    """Draws views by a user's callable, which draws from torch's global state.

    A transform of torchvision draws once a call, so every image of a batch would get
    the same crop and the same colours; such a callable is applied to one image at a
    time.
    """

    draws_globally = True

    def __init__(
        self, function: Callable[[Tensor], Tensor], image_shape: tuple[int, int, int]
    ) -> None:
        self.function = function
        self.is_per_image = _draws_per_batch(function, image_shape)
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
    """The laws of view 1 and view 2.

    Parameters
    ----------
    law_1, law_2 : StrengthsLaw or CallableLaw
        How each view is drawn.
    """

    def __init__(self, law_1: Law, law_2: Law) -> None:
        self.laws = (law_1, law_2)

    @property
    def draws_globally(self) -> bool:
        """Whether drawing moves torch's global random state."""
        return any(law.draws_globally for law in self.laws)

    def __call__(self, images: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw view 1 and view 2 of images (n, n_channels, height, width) in [0, 1]."""
        law_1, law_2 = self.laws
        return law_1(images, generator), law_2(images, generator)


def _draws_per_batch(
    function: Callable[[Tensor], Tensor], image_shape: tuple[int, int, int]
) -> bool:
    """Tell whether a callable gives all images of a batch the same draw.

    Torchvision's transforms are known to. Of others, batches of copies of one image are
    tried, often enough that a draw of one in ten is missed once in a thousand times.
    """
    image = torch.rand(image_shape, generator=torch.Generator().manual_seed(0))
    copies = image.expand(4, *image_shape)
    first = _checked(function, copies)
    parts = function.modules() if isinstance(function, nn.Module) else [function]
    if any(type(part).__module__.startswith(TORCHVISION) for part in parts):
        return True
    varies = False
    for _ in range(N_TRIES):
        views = _checked(function, copies)
        if not all(torch.equal(view, views[0]) for view in views):
            return False
        varies = varies or not torch.equal(views, first)
    return varies


def _checked(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Call a user's function on a batch and check what it returns."""
    try:
        views = function(images.clone())
    except Exception as error:
        error.add_note(f"This is about views={function!r}, tried on gray noise.")
        raise
    if not isinstance(views, Tensor) or views.shape != images.shape:
        got = tuple(views.shape) if isinstance(views, Tensor) else type(views).__name__
        raise ValueError(
            f"views={function!r} must return a tensor of the shape it is given, "
            f"{tuple(images.shape)}; it returned {got!r}. Resize or pad inside it."
        )
    if not views.is_floating_point() or not views.isfinite().all():
        raise ValueError(
            f"views={function!r} must return finite floats, as it is given. It "
            f"returned {views.dtype} with values that are no such numbers."
        )
    return views
