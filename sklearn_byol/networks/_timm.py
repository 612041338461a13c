"""Networks of the timm library by name, an optional extra."""

import difflib
from typing import Any

from torch import nn

from sklearn_byol.networks._stem import fit_stem

__all__ = ["PREFIX", "timm_encoder"]

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
        If timm has no network of this name, or not for this size, or no weights of it.
    OSError
        If its weights are neither in the cache nor to be had.
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
    published = timm.get_pretrained_cfg(known)
    if is_pretrained and (published is None or not published.has_weights):
        raise ValueError(
            f"weights='pretrained': timm has no weights of encoder={name!r}. Choose "
            "one of timm.list_models(pretrained=True)."
        )
    options: dict[str, Any] = {"global_pool": ""} if keeps_map else {}
    if published is not None and published.fixed_input_size:
        options["img_size"] = (height, width)
    try:
        network = timm.create_model(
            known,
            pretrained=is_pretrained,
            num_classes=0,
            in_chans=n_channels,
            **options,
        )
    except OSError as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error} They are "
            f"those of {getattr(published, 'hf_hub_id', known)!r} on the Hugging Face "
            "Hub; have huggingface_hub put them into its cache (HF_HOME), or pass the "
            "path of its model.safetensors as weights."
        ) from error
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"encoder={name!r} cannot be built for {height}x{width} pixels: {error} "
            "Choose another encoder, such as 'auto', or resize the images."
        ) from error
    if not keeps_stem and not is_pretrained:
        fit_stem(network, n_channels, side=max(height, width))
    return network
