"""An encoder for others: its weights, or a graph of ONNX from pixels to rows."""

import copy
import importlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import is_classifier
from torch import Tensor, nn

from sklearn_byol._about import __version__
from sklearn_byol._files import write_whole
from sklearn_byol.images._arrays import as_array
from sklearn_byol.images._datasets import as_items
from sklearn_byol.images._layout import fold
from sklearn_byol.images._pixel_range import (
    Fitted,
    Range,
    check_pixel_range,
    low_and_length,
)

N_TRIED = 2  # images that the graph is traced with
OLDEST_TORCH = "2.9"  # torch compares its version with strings as versions


class PixelsToRows(nn.Module):
    """What transform does to an array of pixels, or predict_proba, as one module.

    Pixels are reshaped, their axes put into an order, and `pixel_range` becomes 0 and
    1. A linear layer, of a classifier, makes probabilities of representations.
    """

    low: Tensor
    length: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        axes: tuple[tuple[int, ...], tuple[int, ...]],
        pixel_range: Range,
        layer: nn.Linear | None,
    ) -> None:
        super().__init__()
        self.encoder, self.layer = encoder, layer
        self.shape, self.order = axes
        low, length = low_and_length(pixel_range)
        self.register_buffer("low", torch.tensor(low).reshape(-1, 1, 1))
        self.register_buffer("length", torch.tensor(length).reshape(-1, 1, 1))

    def forward(self, X: Tensor) -> Tensor:
        """Map pixels of any type and layout to rows (n_images, n_numbers)."""
        images = X.reshape(self.shape).permute(self.order).to(torch.float32)
        rows = self.encoder(((images - self.low) / self.length).clamp(0, 1))
        if self.layer is None:
            return rows
        return self.layer(rows.double()).softmax(dim=1).float()


def _layer_of(classifier: Any) -> nn.Linear:
    """Build the linear layer of a classifier, in double precision as it predicts."""
    weight = torch.tensor(classifier.coefficients_)  # a copy of a map that is read-only
    bias = torch.tensor(classifier.intercepts_)
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer.requires_grad_(requires_grad=False)


def write_safetensors(path: str | os.PathLike[str], estimator: Any) -> None:
    """Write the weights of an encoder, and how it is built, for safetensors."""
    save: Any = _imported("to_safetensors", "safetensors.torch").save
    target = Path(path).expanduser()
    if target.suffix != ".safetensors":
        raise ValueError(
            f"path={str(path)!r} must end in .safetensors, by which weights= knows how "
            "to read it."
        )
    specification = estimator._specification
    source = specification.encoder
    is_named = isinstance(source, str)
    scale = getattr(estimator.encoder_, "scale", None)
    about = {
        "sklearn_byol": __version__,
        "encoder": source if is_named else "",
        "image_shape": json.dumps(specification.image_shape),
        # Nobody knows it of another's encoder_.
        "keeps_stem": json.dumps(specification.keeps_stem if is_named else None),
        "input_size": json.dumps(specification.side),
        "hog": json.dumps(estimator.encoder_.n_cells_beside),
        "unit_variance": json.dumps(scale is not None),
        # What has no scale says nothing of it.
        "unit_length": json.dumps(getattr(scale, "has_unit_length", None)),
        "mirror": json.dumps(estimator.encoder_.mirrored_share),
    }
    weights = estimator.encoder_.state_dict().items()
    tensors = {name: tensor.cpu().contiguous() for name, tensor in weights}
    write_whole(target, save(tensors, metadata=about))


def write_onnx(path: str | os.PathLike[str], estimator: Any, X: object) -> None:
    """Write a graph of ONNX from pixels of the layout and dtype of X to rows."""
    if torch.__version__ < OLDEST_TORCH:
        raise ImportError(
            f"to_onnx needs torch {OLDEST_TORCH} or newer, by which its way of "
            f"writing graphs had become torch's own. This is {torch.__version__}."
        )
    _imported("to_onnx", "onnxscript")
    onnx: Any = _imported("to_onnx", "onnx")
    fitted, pixels = estimator._fitted, _sample(estimator, X)
    encoder = copy.deepcopy(estimator.encoder_).cpu().eval().requires_grad_(False)
    about: dict[str, Any] = {
        "sklearn_byol": __version__,
        "image_shape": list(fitted.layout.shape),
        "pixel_range": list(fitted.pixel_range),
    }
    name, layer = "representations", None
    if is_classifier(estimator):
        name, layer = "probabilities", _layer_of(estimator)
        about["classes"] = estimator.classes_.tolist()
    axes = fitted.layout.axes_of(pixels.shape)
    module = PixelsToRows(encoder, axes, fitted.pixel_range, layer).eval()
    graph = _traced(module, torch.from_numpy(pixels), name)
    texts = {key: json.dumps(value) for key, value in about.items()}
    onnx.helper.set_model_props(graph, texts)
    write_whole(Path(path).expanduser(), graph.SerializeToString())


def _sample(estimator: Any, X: object) -> NDArray[Any]:
    """Return two images of the layout and dtype that the graph is to take."""
    fitted: Fitted = estimator._fitted
    layout, pixel_range = fitted.layout, fitted.pixel_range
    if X is None:
        c, h, w = layout.shape
        shape = (h, w, c) if layout.is_channels_last else (c, h, w)
        is_bytes = fitted.was_counted and pixel_range == (0.0, 255.0)
        return np.zeros((N_TRIED, *shape), np.uint8 if is_bytes else np.float32)
    if as_items(X, layout.shape) is not None:
        raise ValueError(
            "to_onnx takes X as one array, since its graph does not decode images one "
            "by one. Pass X=None for a graph that takes decoded images."
        )
    has_features = not fitted.is_items
    array = as_array(
        estimator, X, reset=False, layout=layout, has_features=has_features
    )
    check_pixel_range(fold(array, layout), fitted)
    # That of X itself: `as_array` may have shortened it, and a graph does not.
    dtype = X.dtype if isinstance(X, np.ndarray) else array.dtype
    sample = np.zeros((N_TRIED, *array.shape[1:]), dtype)
    try:
        torch.from_numpy(sample)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X has the dtype {dtype}, which a graph of ONNX cannot take. "
            "Pass X.astype('float32') here, and to the graph."
        ) from error
    return sample


def _imported(method: str, name: str) -> Any:
    """Import an optional library, or say what is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{method} needs {name.partition('.')[0]}. Install it: pip install "
            f"'sklearn-byol[{method.removeprefix('to_')}]'"
        ) from error


def _traced(module: nn.Module, X: Tensor, name: str) -> Any:
    """Trace a module into a model of ONNX, for any number of images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch and onnxscript do inside
        try:
            program: Any = torch.onnx.export(
                module,
                (X,),
                dynamo=True,
                input_names=["X"],
                output_names=[name],
                dynamic_shapes={"X": {0: torch.export.Dim("n_images")}},
                verbose=False,
            )
        except Exception as error:
            raise ValueError(
                f"This encoder cannot be written as a graph of ONNX: {_cause(error)} "
                "Named encoders can; save others with joblib or torch.export."
            ) from error
    return program.model_proto


def _cause(error: BaseException) -> str:
    """Say what lies at the bottom of an error of the exporter's, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {line}."
