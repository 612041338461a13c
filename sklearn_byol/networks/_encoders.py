"""From a name, a module or a function to an encoder."""

import copy
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from sklearn_byol.networks._image_encoder import NETWORK, ImageEncoder, Mirror, Scale
from sklearn_byol.networks._inputs import (
    ImageShape,
    Normalize,
    Resize,
    resized_shape,
)
from sklearn_byol.networks._layers import gray_images
from sklearn_byol.networks._oriented_gradients import OrientedGradients, auto_cells
from sklearn_byol.networks._readout import Readout, read_on_grid
from sklearn_byol.networks._refused import check_first_layer, why_refused
from sklearn_byol.networks._residual import auto_encoder, auto_readout

Encoder = str | nn.Module | Callable[[], nn.Module]

PREFIX = "timm/"
OF_INCEPTION = {"googlenet", "inception_v3"}
OF_ONE_SIZE, OF_WINDOWS = ("vit_", "maxvit"), ("swin_",)
WANTED_SIZE, PUBLISHED_SIZE = 160, 224  # pixels of a side
SMALLEST = 16  # pixels of a side, from which on views, and rows, are made otherwise
MIRRORED = 0.25  # share of rows
N_CLASSES = 1000  # what torchvision's classifiers end in; tells the head from the rest


@dataclass(frozen=True)
class EncoderSpecification:
    """What an encoder is built from, so that it can be built again."""

    encoder: Encoder
    image_shape: ImageShape
    mean: list[float]  # of three channels for gray images that are shown three times
    std: list[float]
    readout: int | str = "auto"
    keeps_stem: bool = False  # whether first layers are left as their authors made them
    input_size: int | str | None = "auto"  # of the shorter side, inside the encoder
    hog: int | str = 0  # cells on each side of the grid of gradients
    is_scaled: bool | str = False  # whether rows are given a variance of 1
    unit_length: bool | str = "auto"  # whether what is learned has one, if it is scaled
    mirror: float | str = 0.0  # share of the mirror image in rows
    mirrors_views: bool = False  # whether training takes mirror images for the same

    @property
    def side(self) -> int | None:
        """The pixels that the shorter side is brought to, None where it is left."""
        if not isinstance(self.input_size, str):
            return self.input_size
        if is_complete(self.encoder):
            return getattr(getattr(self.encoder, "resize", None), "side", None)
        if not (self.keeps_stem and isinstance(self.encoder, str)):
            return None
        wanted, is_fixed = wanted_size(self.encoder)
        is_other = set(self.image_shape[1:]) != {wanted}
        is_smaller = min(self.image_shape[1:]) < wanted
        return wanted if is_smaller or (is_fixed and is_other) else None

    def build(self) -> ImageEncoder:
        """Build it with random weights, from images in [0, 1] to representations."""
        if is_complete(self.encoder):
            return self._altered(copy.deepcopy(self.encoder).cpu())
        encoder, readout, keeps_stem = self.encoder, self.readout, self.keeps_stem
        n_channels, *size = resized_shape(self.image_shape, self.side)
        shape = (len(self.mean), size[0], size[1])
        if isinstance(readout, str):
            own = (n_channels, size[0], size[1])
            readout = auto_readout(own) if encoder == "auto" else 1
        if not isinstance(encoder, str):
            network = _copy_of(encoder)
        elif encoder == "auto":
            network = auto_encoder(shape)
        elif encoder.startswith(PREFIX):
            network = timm_encoder(
                encoder, shape, keeps_map=readout > 1, keeps_stem=keeps_stem
            )
        else:
            network = named_encoder(encoder, shape, keeps_stem=keeps_stem)
            if readout > 1:
                network, readout = read_on_grid(network, readout), 1
        parts: dict[str, nn.Module] = {"normalize": Normalize(self.mean, self.std)}
        parts |= {"network": network.cpu(), "readout": Readout(readout)}
        return ImageEncoder(parts | self._around())

    @property
    def n_cells(self) -> int:
        """The cells on each side of the grid of gradients; 0 if there are none."""
        if not isinstance(self.hog, str):
            return int(self.hog)
        if is_complete(self.encoder):
            return self.encoder.n_cells_beside
        is_auto = isinstance(self.encoder, str) and self.encoder == "auto"
        return auto_cells(self.image_shape) if is_auto else 0

    @property
    def has_scale(self) -> bool:
        """Whether rows are multiplied by numbers of their own."""
        if not isinstance(self.is_scaled, str):
            return bool(self.is_scaled)
        if is_complete(self.encoder):
            return hasattr(self.encoder, "scale")
        is_auto = isinstance(self.encoder, str) and self.encoder == "auto"
        return is_auto or self.n_cells > 0

    @property
    def mirrored_share(self) -> float:
        """The share of rows that is of the mirror image."""
        if not isinstance(self.mirror, str):
            return float(self.mirror)
        if is_complete(self.encoder):
            return self.encoder.mirrored_share
        is_auto = isinstance(self.encoder, str) and self.encoder == "auto"
        is_mirrored = is_auto and self._is_large and self.mirrors_views
        return MIRRORED if is_mirrored else 0.0

    @property
    def has_unit_length(self) -> bool:
        """Whether what is learned is of one length in all images, if it is scaled."""
        if not isinstance(self.unit_length, str):
            return self.unit_length
        if is_complete(self.encoder) and hasattr(self.encoder, "scale"):
            return self.encoder.has_unit_length
        return self._is_large

    @property
    def _is_large(self) -> bool:
        return min(self.image_shape[1:]) >= SMALLEST

    def _around(self) -> dict[str, nn.Module]:
        """Build the parts around the network that this asks for."""
        parts: dict[str, nn.Module] = {}
        if self.side is not None:
            parts["resize"] = Resize(self.side)
        if self.n_cells:
            parts["gradients"] = OrientedGradients(self.n_cells)
        if self.mirrored_share:
            parts["mirror"] = Mirror(self.mirrored_share)
        if self.has_scale:
            parts["scale"] = Scale(has_unit_length=self.has_unit_length)
        return parts

    def _altered(self, encoder: ImageEncoder) -> ImageEncoder:
        """Give a complete encoder the parts that are asked for."""
        own = dict(encoder.named_children())
        parts = {name: own[name] for name in NETWORK} | self._around()
        if not isinstance(self.readout, str):
            parts["readout"] = Readout(self.readout)
        altered = ImageEncoder(parts)
        # Numbers of rows that are made as before are kept.
        if self.has_scale and repr(altered) == repr(encoder):
            altered.scale = own["scale"]
        return altered


def is_complete(encoder: object) -> TypeGuard[ImageEncoder]:
    """Tell whether a module is what was built here, or a fitted `encoder_`."""
    return isinstance(encoder, ImageEncoder)


def representation_dim(encoder: nn.Module, image_shape: ImageShape) -> int:
    """Try an encoder on two gray images and return the length of what it gives."""
    was_training = encoder.training
    output = _try(encoder.eval(), image_shape)
    check_first_layer(encoder, image_shape)
    # Some modules return more in training; the copy keeps the statistics as they are.
    in_training = _try(copy.deepcopy(encoder).train(), image_shape)
    encoder.train(was_training)
    if in_training.shape != output.shape:
        raise ValueError(
            "encoder must return the same shape in training and in evaluation. It "
            f"returned {tuple(in_training.shape)} and {tuple(output.shape)}."
        )
    return output.shape[1]


def check_view_shape(
    encoder: ImageEncoder, view_shape: ImageShape, image_shape: ImageShape
) -> None:
    """Try what is trained on views that are smaller than the images."""
    if view_shape == image_shape:
        return
    trained = copy.deepcopy(encoder.trained).eval()
    try:
        with torch.no_grad():
            trained(gray_images(trained, view_shape))
    except Exception as error:
        image, view = (f"{h}x{w}" for _, h, w in (image_shape, view_shape))
        reason, _ = why_refused(trained, view_shape, error)
        raise ValueError(
            f"encoder takes images of {image} pixels and no views of {view}, which "
            f"RandomViews draws by its size: {reason}. Set size=1."
        ) from error


def _try(encoder: nn.Module, image_shape: ImageShape) -> Tensor:
    """Show two gray images to an encoder and check what it returns."""
    shape = " x ".join(map(str, image_shape))
    resize = getattr(encoder, "resize", None)
    if isinstance(resize, Resize):
        shape += f", brought to input_size={resize.side},"
    try:
        with torch.no_grad():
            output = encoder(gray_images(encoder, image_shape))
    except Exception as error:
        reason, way_out = why_refused(encoder, image_shape, error)
        raise ValueError(
            f"encoder cannot take float32 images of shape {shape} (n_channels x height "
            f"x width): {reason}. {way_out}"
        ) from error
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        raise ValueError(
            "encoder must return one vector per image, shape (n_images, n_dims). For 2 "
            f"images of shape {shape} it returned {got!r}. Pool and flatten at its end."
        )
    if not output.isfinite().all():
        raise ValueError(
            "encoder returned values that are infinite or not a number for gray images "
            f"of shape {shape}. Look for such weights in it, or choose another encoder."
        )
    return output


def _copy_of(given: nn.Module | Callable[[], nn.Module]) -> nn.Module:
    """Copy a user's module, or what a function returns, which may be one it keeps."""
    network = given
    if not isinstance(given, nn.Module):
        try:
            network = given()
        except Exception as error:
            error.add_note(
                f"This is about encoder={given!r}, which is called without arguments."
            )
            raise
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"encoder={given!r} must return a torch.nn.Module when called without "
            f"arguments. It returned {network!r}."
        )
    if isinstance(network, torch.jit.ScriptModule):
        raise TypeError(
            "encoder is a module of TorchScript, of which no target network can be "
            "made. Pass the module that it was made of."
        )
    if any(tensor.is_meta for tensor in network.state_dict().values()):
        raise ValueError(
            "encoder has weights on the meta device, which have no values. Fill "
            "them with to_empty(device='cpu') and weights of your own."
        )
    return copy.deepcopy(network)


def named_encoder(
    name: str, image_shape: ImageShape, *, keeps_stem: bool = False
) -> nn.Module:
    """Build a torchvision classifier by name, without its classification head."""
    models = torchvision_with(name)
    n_channels, height, width = image_shape
    options: dict[str, object] = {}
    if name in OF_INCEPTION:
        options = {"aux_logits": False, "init_weights": True}
        # What its weights were trained with.
        options["transform_input"] = keeps_stem and n_channels == 3
    elif name.startswith("vit_"):
        options = {"image_size": max(height, width)}
    elif name.startswith("maxvit"):
        options = {"input_size": (height, width)}
    try:
        network = models.get_model(name, weights=None, **options)
    except (AssertionError, ValueError) as error:
        raise _not_for(image_shape, name, error) from error
    _remove_head(network)
    fit_stem(network, n_channels, 224 if keeps_stem else max(height, width))
    return network


def torchvision_with(name: str) -> ModuleType:
    """Import torchvision's models, if one of its classifiers has this name."""
    from torchvision import models  # noqa: PLC0415  brings torch's compiler: slow

    names = models.list_models(module=models)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:3]
        raise ValueError(
            f"encoder={name!r} is neither 'auto' nor the name of a torchvision "
            f"classifier. Close to it: {', '.join(map(repr, close))}. 'timm/NAME', a "
            "module, or a function that returns one is taken as well."
        )
    return models


def wanted_size(name: str) -> tuple[int, bool]:
    """Return the pixels of a side that suit a named network with published weights.

    Those of photographs make more of small images the larger they are brought, and more
    than 160 pixels gain little. What is built for one size, as is said too, needs that.
    """
    if name.startswith(PREFIX):
        published = _timm_with(name).get_pretrained_cfg(name.removeprefix(PREFIX))
        if published is not None and published.fixed_input_size:
            return int(published.input_size[-1]), True
    elif name.startswith(OF_ONE_SIZE + OF_WINDOWS):
        return PUBLISHED_SIZE, name.startswith(OF_ONE_SIZE)
    return WANTED_SIZE, False


def _remove_head(network: nn.Module) -> None:
    """Replace the last layer that gives one number per class by nothing."""
    heads = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == N_CLASSES
    ]
    network.set_submodule(heads[-1], nn.Identity())


def fit_stem(network: nn.Module, n_channels: int, side: int) -> None:
    """Give the first convolution the image's channels, and small images their side."""
    # A network made for 224 pixels would reduce images of 64 or less to a single point,
    # so its first convolution loses a stride of 2. A residual network takes a 3x3
    # convolution there, and loses the max-pool behind it at 32 pixels or less.
    name, first = convolutions(network)[0]
    window: tuple[Any, Any, Any] = first.kernel_size, first.stride, first.padding
    if side <= 64 and name == "conv1" and hasattr(network, "maxpool"):
        window = 3, 1, 1
        if side <= 32:
            network.maxpool = nn.Identity()
    elif side <= 64 and first.stride == (2, 2):
        window = first.kernel_size, 1, first.padding
    elif n_channels == first.in_channels:
        return
    has_bias = first.bias is not None
    stem = nn.Conv2d(n_channels, first.out_channels, *window, bias=has_bias)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.set_submodule(name, stem)


def convolutions(network: nn.Module) -> list[tuple[str, nn.Conv2d]]:
    """List the convolutions of a network with their names, the first one first."""
    return [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]


def is_depthwise(encoder: nn.Module) -> bool:
    """Tell whether most of the 3x3 and larger convolutions take one channel each."""
    spatial = [part for _, part in convolutions(encoder) if max(part.kernel_size) > 1]
    depthwise = [part for part in spatial if part.groups == part.in_channels > 1]
    return 2 * len(depthwise) > len(spatial)


def sees_single_pixels(encoder: nn.Module, image_shape: ImageShape) -> bool:
    """Tell whether a 3x3 or larger convolution is given maps of a single pixel."""
    areas: list[int] = []

    def note(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        shape = (*given, *named.values())[0].shape
        areas.append(shape[-1] * shape[-2])

    was_training = encoder.training
    hooks = [
        part.register_forward_pre_hook(note, with_kwargs=True)
        for _, part in convolutions(encoder)
        if max(part.kernel_size) > 1
    ]
    try:
        with torch.no_grad():
            encoder.eval()(gray_images(encoder, image_shape))
    finally:
        for hook in hooks:
            hook.remove()
        encoder.train(was_training)
    return 1 in areas


def timm_encoder(
    name: str,
    image_shape: ImageShape,
    *,
    keeps_map: bool,
    keeps_stem: bool,
    is_pretrained: bool = False,
) -> nn.Module:
    """Build a network of timm by name, without its classification head."""
    timm, known = _timm_with(name), name.removeprefix(PREFIX)
    n_channels, height, width = image_shape
    published = timm.get_pretrained_cfg(known)
    if is_pretrained and (published is None or not published.has_weights):
        raise ValueError(
            f"weights='pretrained': timm has no weights of encoder={name!r}. Choose "
            "one of timm.list_models(pretrained=True)."
        )
    options: dict[str, object] = {"global_pool": ""} if keeps_map else {}
    if published is not None and published.fixed_input_size:
        options["img_size"] = (height, width)
    try:
        network: nn.Module = timm.create_model(
            known, is_pretrained, num_classes=0, in_chans=n_channels, **options
        )
    except OSError as error:
        raise OSError(
            f"The weights of encoder={name!r} could not be fetched: {error} They are "
            f"those of {getattr(published, 'hf_hub_id', known)!r} on the Hugging Face "
            "Hub; have huggingface_hub put them into its cache (HF_HOME), or pass the "
            "path of its model.safetensors as weights."
        ) from error
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise _not_for(image_shape, name, error) from error
    if not keeps_stem:
        fit_stem(network, n_channels, max(height, width))
    return network


def _timm_with(name: str) -> ModuleType:
    """Import timm, if it is installed and knows the name behind the prefix."""
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
    return timm


def _not_for(image_shape: ImageShape, name: str, error: Exception) -> ValueError:
    """Say that a library cannot build a network for images of this size."""
    size = "x".join(map(str, image_shape[1:]))
    return ValueError(
        f"encoder={name!r} cannot be built for {size} pixels: {error} Choose another "
        "encoder, such as 'auto', or bring the images to its size: by input_size if "
        "they are square, else by image_shape, for files, or before."
    )
