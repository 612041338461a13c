"""How strong each part of a view is, and the named sets of strengths."""

from dataclasses import dataclass, replace

Range = tuple[float, float]
Shape = tuple[int, int, int]  # n_channels, height, width


@dataclass(frozen=True)
class Strengths:
    """A number, range or pair for each part, as `RandomViews` says; by default off."""

    size: float = 1.0
    crop_scale: Range = (1.0, 1.0)
    crop_ratio: Range = (3 / 4, 4 / 3)
    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    rotation: float = 0.0
    perspective: float = 0.0
    perspective_probability: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    jitter_probability: float = 0.8
    grayscale: float = 0.0
    inversion: float = 0.0
    blur: Range = (0.0, 0.0)
    blur_sigma: Range = (0.1, 2.0)
    solarize: Range = (0.0, 0.0)
    solarize_threshold: float = 0.5

    @property
    def changes_colours(self) -> bool:
        """Whether any part of the map of colours is on."""
        jitter = self.brightness or self.contrast or self.saturation or self.hue
        return bool(jitter or self.grayscale or self.inversion)

    def for_channels(self, n_channels: int) -> "Strengths":
        """Leave out what does nothing to images that are not RGB."""
        if n_channels == 3:
            return self
        return replace(self, saturation=0.0, hue=0.0, grayscale=0.0)


# Table 6 of the paper; the reference's brightness is additive, torchvision's and ours
# a factor.
OFF = (0.0, 0.0)
_BYOL = Strengths(
    crop_scale=(0.08, 1.0),
    horizontal_flip=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    grayscale=0.2,
    blur=(1.0, 0.1),
    solarize=(0.0, 0.2),
)

_NATURAL = replace(
    _BYOL, crop_scale=(0.5, 1.0), saturation=0.4, grayscale=0.1, blur=OFF, solarize=OFF
)
_LAB = replace(
    _NATURAL,
    crop_scale=(0.2, 1.0),
    rotation=15.0,
    perspective=0.4,
    grayscale=0.2,
    inversion=0.2,
)

PRESETS: dict[str, Strengths] = {
    "byol": _BYOL,
    # The last row of the paper's table 17.
    "symmetric": replace(_BYOL, blur=(0.5, 0.5), solarize=(0.2, 0.2)),
    "safe": replace(_LAB, crop_scale=(1.0, 1.0), rotation=0.0),
    "lab": _LAB,
    "natural": _NATURAL,
    # For an encoder that knows images already, and may only lose by strong views.
    "mild": replace(_NATURAL, horizontal_flip=0.0),
    "gray": Strengths(
        crop_scale=(0.5, 1.0), rotation=10.0, brightness=0.6, contrast=0.6
    ),
    "digits": Strengths(
        crop_scale=(0.6, 1.0),
        rotation=15.0,
        perspective=0.2,
        perspective_probability=1.0,
        brightness=0.4,
        contrast=0.4,
    ),
    "jitter": Strengths(brightness=0.4, contrast=0.4),
}


def preset_for(name: str, image_shape: Shape) -> tuple[str, Strengths]:
    """Look a preset up and fit it to the images; returns its name and strengths."""
    n_channels, *sides = image_shape
    side = min(sides)
    if name == "auto" and side < 8:
        name = "jitter"  # a crop or a turn of so few pixels shows something else
    elif name == "auto":
        name = "natural" if n_channels == 3 else "digits" if side < 16 else "gray"
    strengths = PRESETS[name]
    if side <= 32:
        # The kernel of a tenth of the side would be too small to matter; lightly,
        # solo-learn and others leave it out too.
        strengths = replace(strengths, blur=(0.0, 0.0))
    return name, strengths.for_channels(n_channels)
