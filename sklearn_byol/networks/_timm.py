"""Networks of the timm library by name, an optional extra."""

import difflib
from typing import Any

from torch import nn

from sklearn_byol.networks._stem import fit_stem

__all__ = ["timm_encoder"]

PREFIX = "timm/"


def timm_encoder(
    name: str,
    image_shape: tuple[int, int, int],
    *,
    keeps_map: bool,
    keeps_stem: bool = False,
    is_pretrained: bool = False,
) -> nn.Module:
    """Build a network of timm by name, without its classification head.

    Parameters
    ----------
    name : str
        "timm/" and a name that `timm.list_models()` lists.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    keeps_map : bool
        Whether the feature map is returned as it is, to be read out on a grid.
    keeps_stem : bool, default=False
        Whether the first convolution keeps its size and stride.
    is_pretrained : bool, default=False
        Whether timm's own weights are put in; the stem is kept for them.

    Returns
    -------
    nn.Module
        A module with random weights, or timm's.

    Raises
    ------
    ValueError
        If timm has no network of this name, or not for this size.
    ImportError
        If timm is not installed.
    """
    try:
        import timm  # noqa: PLC0415  optional
    except ImportError as error:
        raise ImportError(
            f"encoder={name!r} needs timm. Install it: pip install 'sklearn-byol[timm]'"
        ) from error
    known = name.removeprefix(PREFIX)
    if not timm.is_model(known):
        close = difflib.get_close_matches(known, timm.list_models(), n=3, cutoff=0.5)
        raise ValueError(
            f"encoder={name!r} is not a network of timm {timm.__version__}. Close to "
            f"it: {', '.join(repr(PREFIX + other) for other in close) or 'nothing'}."
        )
    n_channels, height, width = image_shape
    options: dict[str, Any] = {"global_pool": ""} if keeps_map else {}
    configuration = timm.get_pretrained_cfg(known)
    if configuration is not None and configuration.fixed_input_size:
        options["img_size"] = (height, width)
    try:
        network = timm.create_model(
            known,
            pretrained=is_pretrained,
            num_classes=0,
            in_chans=n_channels,
            **options,
        )
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        if is_pretrained:
            raise
        raise ValueError(
            f"encoder={name!r} cannot be built for {height}x{width} pixels: {error} "
            "Choose another encoder, such as 'auto', or resize the images."
        ) from error
    if not keeps_stem and not is_pretrained:
        fit_stem(network, n_channels, side=max(height, width))
    return network
