"""An image brought to a shape: the middle cut out, edges repeated, or stretched."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps

from sklearn_byol.images._layout import Pixels, Shape

CROP, PAD, STRETCH = "crop", "pad", "stretch"  # how an image is brought to a shape


def kept_share(size: tuple[int, ...], shape: Shape | None, mode: str) -> float:
    """Return the share of an image (height, width) that is left of it in a shape."""
    if shape is None or mode != CROP:
        return 1.0
    ratio = size[0] * shape[2] / (size[1] * shape[1])
    return min(ratio, 1 / ratio)


def resize_picture(picture: Image.Image, shape: Shape, mode: str) -> Image.Image:
    """Resize a PIL image; by "pad" one side may be left shorter."""
    _, height, width = shape
    if mode == CROP:
        return ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    if mode == PAD:
        height, width = _inside((picture.height, picture.width), shape)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def resize_array(array: Pixels, shape: Shape, mode: str) -> Pixels:
    """Resize an image (n_channels, height, width); its type and range are kept."""
    image = torch.from_numpy(array.astype(np.float32, order="C"))
    if mode == CROP:
        image = _cropped(image, shape)
    else:
        _, *size = shape
        size = [*_inside(array.shape[1:], shape)] if mode == PAD else size
        image = _interpolated(image, size)
    pixels = image.numpy() if array.dtype.kind == "f" else image.round().numpy()
    return padded(pixels.astype(array.dtype, copy=False), shape)


def padded(image: Pixels, shape: Shape) -> Pixels:
    """Repeat the pixels of the edges around an image that is smaller than a shape."""
    missing = [side - found for side, found in zip(shape, image.shape, strict=True)]
    if not any(missing[1:]):
        return image
    around = [(0, 0), *((n // 2, n - n // 2) for n in missing[1:])]
    return np.pad(image, around, mode="edge")


def _cropped(image: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Resize the shorter side and cut the middle out."""
    _, height, width = shape
    # Of the longer side of a strip four times as much is left as will be cut out.
    rows, columns = image.shape[1:]
    n_rows = 4 * max(1, -(-columns * height // width))
    n_columns = 4 * max(1, -(-rows * width // height))
    image = _middle(image, min(rows, n_rows), min(columns, n_columns))
    rows, columns = image.shape[1:]
    scale = max(height / rows, width / columns)
    size = [max(height, round(rows * scale)), max(width, round(columns * scale))]
    return _middle(_interpolated(image, size), height, width)


def _middle(image: torch.Tensor, n_rows: int, n_columns: int) -> torch.Tensor:
    """Cut the middle out of an image (n_channels, height, width)."""
    rows, columns = image.shape[1:]
    top, left = (rows - n_rows) // 2, (columns - n_columns) // 2
    return image[:, top : top + n_rows, left : left + n_columns]


def _interpolated(image: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Resize an image (n_channels, height, width), within its range of values."""
    low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    resized = F.interpolate(image[None], size, mode="bicubic", antialias=True)
    return resized[0].clamp(low, high)


def _inside(size: tuple[int, ...], shape: Shape) -> tuple[int, int]:
    """Return the height and width of an image that fits into a shape as a whole."""
    _, height, width = shape
    scale = min(height / size[0], width / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
