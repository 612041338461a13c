"""RandomViews: every strength of a view as a constructor parameter."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Generator, Tensor

from sklearn_byol._about import HasPage
from sklearn_byol.exceptions import ViewsWarning, warn
from sklearn_byol.views._draw import draw_view
from sklearn_byol.views._presets import PRESETS, Shape, Strengths, preset_for


class Number(Interval):
    """A constraint of scikit-learn: a number in an interval, and no bool."""

    def is_satisfied_by(self, val: object) -> bool:
        """Tell whether a value is such a number."""
        return not isinstance(val, bool) and bool(super().is_satisfied_by(val))


class Pair(Number):
    """Two such numbers."""

    def is_satisfied_by(self, val: object) -> bool:
        """Tell whether a value is a sequence of two such numbers."""
        if not isinstance(val, (Sequence, np.ndarray)) or len(val) != 2:
            return False
        return all(map(super().is_satisfied_by, val))

    def __str__(self) -> str:
        """Say what is asked for."""
        return f"a pair of numbers, each {super().__str__()}"


class Range(Pair):
    """Two such numbers, the low end first."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Tell whether a value is a sequence of two such numbers in their order."""
        return super().is_satisfied_by(val) and bool(val[0] <= val[1])

    def __str__(self) -> str:
        """Say what is asked for."""
        return f"two numbers (low, high), the low end first, {super().__str__()}"


MOST = 1e6  # of strengths without a limit of their own: more overflows in float32
SHARE = Number(Real, 0, 1, closed="both")
FACTOR = Number(Real, 0, MOST, closed="both")
SHARES = [None, SHARE, Pair(Real, 0, 1, closed="both")]
RANGE = Range(Real, 0, MOST, closed="right")

NEEDS_RGB = ("saturation", "hue", "grayscale")


@dataclass(repr=False, eq=False)
class RandomViews(HasPage, BaseEstimator):
    """How two views of an image are drawn.

    BYOL learns that two views of one image mean the same, so the views say what does
    not matter: where the object is, how it is lit, how it is turned. Choose a preset
    and override what does not fit your images. All draws are per image.

    A view is perspective, rotation, flips and crop, composed to one homography and
    resampled once, bilinearly, with 0 outside the image; then jitter (its four parts in
    an order drawn per image), grayscale and inversion, composed to one map of colours
    and clamped to [0, 1] once; then blur and solarization. A parameter left at None has
    the preset's value.

    Parameters
    ----------
    preset : str, default="auto"
        "auto" chooses by the size and the channels of the images:

        - "natural" for RGB images: crop, horizontal flip, jitter and grayscale;
        - "gray" for other images: crop, rotation, brightness and contrast;
        - "digits" for other images under 16 pixels, and by name for characters of any
          size: mild crop, rotation and perspective, never mirrored;
        - "jitter" under 8 pixels: brightness and contrast only.

        By name only: "byol" (the paper's table 6: the two views differ in blur and
        solarization), "symmetric" (both views alike, table 17), "safe" (no crop and no
        rotation, for images whose object a crop can miss), "lab" ("safe" with crop and
        rotation), "mild" ("natural" without a flip, which `BYOLTransformer` takes where
        an encoder has been trained already). The presets' blur is off at 32 pixels and
        below.
    size : float, default=None
        Side of a view as a share of the image's, in (0, 1], each side rounded down to a
        multiple of 4 pixels: a view shows as much of the image, in fewer pixels. The
        time of training goes with its square. None is 1, but 0.75 where
        `BYOLTransformer` trains encoder="auto" on images of 16 pixels or more, without
        an `input_size` and without a callable for one of the views.
    crop_scale : (float, float), default=None
        Share of the image's area that a crop keeps, drawn uniformly from this range
        within (0, 1]. (1, 1) is no crop. A crop is stretched to the size of a view.
    crop_ratio : (float, float), default=None
        Range of a crop's width divided by its height, above 0; its logarithm is drawn
        uniformly.
    horizontal_flip, vertical_flip : float, default=None
        Probability of mirroring left and right, or top and bottom, in [0, 1].
    rotation : float, default=None
        Largest angle in degrees, in [0, 180], drawn uniformly both ways.
    perspective : float, default=None
        How far the corners move inwards at most, as a share of half the image, in [0,
        1]: torchvision's `distortion_scale`.
    perspective_probability : float, default=None
        Probability that an image gets a perspective at all, in [0, 1].
    brightness, contrast, saturation : float, default=None
        Largest change of the factor from 1, at least 0: 0.4 draws from [0.6, 1.4].
        Saturation needs RGB images.
    hue : float, default=None
        Largest shift of hue in turns of the colour circle, in [0, 0.5]; needs RGB
        images. A rotation about the gray axis stands in for the shift in HSV, from
        which it differs by 0.03 a value on photographs at a tenth of a turn.
    jitter_probability : float, default=None
        Probability that brightness, contrast, saturation and hue change at all, in
        [0, 1].
    grayscale : float, default=None
        Probability of losing the colour, in [0, 1]; needs RGB images.
    inversion : float, default=None
        Probability of turning values x into 1 - x, in [0, 1].
    blur : float or (float, float), default=None
        Probability of a Gaussian blur, in [0, 1]; a pair holds for view 1 and view 2.
        Its kernel is a tenth of the side wide.
    blur_sigma : (float, float), default=None
        Range of the standard deviation of the blur, in pixels of the view, above 0.
    solarize : float or (float, float), default=None
        Probability of inverting bright values, in [0, 1]; a pair holds for view 1 and
        view 2.
    solarize_threshold : float, default=None
        Values at or above are inverted, in [0, 1].
    random_state : int, RandomState or None, default=None
        Where `sample` draws from: an int gives the same views at each call. Inside
        `BYOLTransformer` views are drawn from its own `random_state` instead.

    References
    ----------
    Grill et al. (2020), Bootstrap your own latent, arXiv 2006.07733, appendix B.

    Examples
    --------
    >>> import torch
    >>> from sklearn_byol import RandomViews
    >>> images = torch.rand(8, 3, 32, 32)
    >>> view_1, view_2 = RandomViews("safe", hue=0.2, random_state=0).sample(images)
    >>> view_1.shape
    torch.Size([8, 3, 32, 32])
    """

    _parameter_constraints: ClassVar[dict[str, Sequence[object]]] = {
        **{field.name: [SHARE, None] for field in fields(Strengths)},
        "preset": [StrOptions({"auto", *PRESETS})],
        "crop_scale": [Range(Real, 0, 1, closed="right"), None],
        "crop_ratio": [RANGE, None],
        "blur_sigma": [RANGE, None],
        "rotation": [Number(Real, 0, 180, closed="both"), None],
        **{name: [FACTOR, None] for name in ("brightness", "contrast", "saturation")},
        "hue": [Number(Real, 0, 0.5, closed="both"), None],
        "size": [Number(Real, 0, 1, closed="right"), None],
        "blur": SHARES,
        "solarize": SHARES,
        "random_state": ["random_state"],
    }

    preset: str = "auto"
    _: KW_ONLY
    size: float | None = None
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] | None = None
    horizontal_flip: float | None = None
    vertical_flip: float | None = None
    rotation: float | None = None
    perspective: float | None = None
    perspective_probability: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    jitter_probability: float | None = None
    grayscale: float | None = None
    inversion: float | None = None
    blur: float | tuple[float, float] | None = None
    blur_sigma: tuple[float, float] | None = None
    solarize: float | tuple[float, float] | None = None
    solarize_threshold: float | None = None
    random_state: int | np.random.RandomState | None = None

    def sample(
        self, images: Tensor | ArrayLike, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw two views of each image.

        Parameters
        ----------
        images : Tensor or ndarray of shape (n, n_channels, height, width)
            Floats in [0, 1], with 1 to any number of channels. They are not changed.
        generator : torch.Generator, default=None
            Where to draw from, on the device of the images; None makes one from
            `random_state`.

        Returns
        -------
        view_1 : Tensor of shape (n, n_channels, view_height, view_width)
            Views in [0, 1], float32, on the device of the images.
        view_2 : Tensor of shape (n, n_channels, view_height, view_width)
            Other views of the same images.

        Raises
        ------
        ValueError
            If a parameter is outside its range or `images` are not as said above.
        TypeError
            If a parameter is not of its type.

        Warns
        -----
        ViewsWarning
            If saturation, hue or grayscale were given for images that are not RGB.
        """
        images = _check_images(images)
        _, n_channels, height, width = images.shape
        strengths = resolved(self, (n_channels, height, width))[1]
        if generator is None:
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            generator = Generator(images.device).manual_seed(int(seed))
        if not isinstance(generator, Generator):
            raise TypeError(
                "generator must be a torch.Generator, or None to draw by random_state. "
                f"Got {generator!r}."
            )
        view_1 = draw_view(strengths, 0, images, generator)
        return view_1, draw_view(strengths, 1, images, generator)

    def resolve(self, image_shape: tuple[int, int, int]) -> "RandomViews":
        """Return a copy in which the preset is chosen and every strength is given.

        Parameters
        ----------
        image_shape : tuple of int (n_channels, height, width)
            Shape of one image.

        Returns
        -------
        RandomViews
            What `sample` draws by for such images.

        Raises
        ------
        ValueError
            If a parameter is outside its range, or there are not three numbers above 0.
        TypeError
            If a parameter is not of its type.
        """
        sides = image_shape if isinstance(image_shape, Sequence) else ()
        are_sides = [isinstance(side, Integral) and side > 0 for side in sides]
        if len(sides) != 3 or not all(are_sides):
            raise ValueError(
                "image_shape must be (n_channels, height, width), whole numbers above "
                f"0. Got {image_shape!r}."
            )
        return resolved(self, image_shape)[0]


def resolved(views: RandomViews, image_shape: Shape) -> tuple[RandomViews, Strengths]:
    """Check all parameters, and fill in what was not given from the preset."""
    views._validate_params()  # noqa: SLF001  scikit-learn's
    given = {
        field.name: _as_floats(field.name, value)
        for field in fields(Strengths)
        if (value := getattr(views, field.name)) is not None
    }
    n_channels = image_shape[0]
    unseen = [name for name in NEEDS_RGB if given.get(name) and n_channels != 3]
    if unseen:
        warn(
            f"{' and '.join(unseen)} need RGB images and do nothing to images with "
            f"{n_channels} channels. Leave them at None to silence this.",
            ViewsWarning,
        )
    name, strengths = preset_for(views.preset, image_shape)
    strengths = replace(strengths, **given)
    random_state = views.random_state
    return RandomViews(name, **asdict(strengths), random_state=random_state), strengths


def _as_floats(name: str, value: Any) -> Any:
    """Turn a number to a float and two to a pair; one for both views is doubled."""
    if not isinstance(value, Real):
        return tuple(map(float, value))
    return (float(value),) * 2 if name in {"blur", "solarize"} else float(value)


def _check_images(images: Tensor | ArrayLike) -> Tensor:
    """Check that images are (n, n_channels, height, width) floats in [0, 1]."""
    if not isinstance(images, Tensor):
        images = _as_tensor(images)
    if images.layout != torch.strided or images.is_meta:
        raise ValueError(
            f"images must be a dense tensor with values. Got {images.layout} on "
            f"{images.device}."
        )
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "images must have shape (n, n_channels, height, width) and no empty axis. "
            f"Got shape {tuple(images.shape)}."
        )
    got = str(images.dtype)
    if images.is_floating_point():
        images = images.float()
        low, high = images.min().item(), images.max().item()
        if low >= 0 and high <= 1:
            return images
        got = f"values from {low:g} to {high:g}"
    raise ValueError(
        f"images must be finite floats in [0, 1]. Got {got}; divide by the largest "
        "value that a pixel can have, as in images / 255."
    )


def _as_tensor(images: ArrayLike) -> Tensor:
    """Copy an array of any strides and byte order to a tensor."""
    if np.ma.is_masked(images):
        raise ValueError("images must not have masked values. Pass images.filled(0).")
    try:
        array = np.array(images)
        is_float = array.dtype.kind == "f"
        with np.errstate(over="ignore"):  # infinity is refused like what became it
            return torch.from_numpy(array.astype(np.float32) if is_float else array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"images must be floats in one array: {error}") from error
