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
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sklearn_byol._about import __version__
from sklearn_byol._files import write_whole
from sklearn_byol.images import (
    Fitted,
    as_array,
    as_items,
    axes_of,
    check_pixel_range,
)

__all__ = ["ExportsEncoder"]

N_TRIED = 2  # images that the graph is traced with
OLDEST_TORCH = "2.9"  # torch compares its version with strings as versions


class PixelsToRows(nn.Module):
    """What transform does to an array of pixels, as one module.

    Parameters
    ----------
    encoder : nn.Module
        Takes images (n, n_channels, height, width) in [0, 1]; not copied.
    shape, order : tuple of int
        How pixels are reshaped, and the order that their axes are then put into.
    pixel_range : (float, float)
        The values that become 0 and 1.
    head : nn.Module, default=None
        From representations to what is returned.
    """

    def __init__(
        self,
        encoder: nn.Module,
        shape: tuple[int, ...],
        order: tuple[int, ...],
        pixel_range: tuple[float, float],
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.shape, self.order = shape, order
        self.low, self.length = pixel_range[0], pixel_range[1] - pixel_range[0]
        self.head = nn.Identity() if head is None else head

    def forward(self, X: Tensor) -> Tensor:
        """Map pixels of any type and layout to rows (n_images, n_numbers)."""
        images = X.reshape(self.shape).permute(self.order).to(torch.float32)
        return self.head(self.encoder((images - self.low) / self.length))


class Probabilities(nn.Module):
    """The linear layer of a classifier, in double precision as `predict_proba` has it.

    Parameters
    ----------
    classifier : BYOLClassifier
        Whose coefficients are taken.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        weight, bias = classifier.coefficients_, classifier.intercepts_
        self.register_buffer("weight", torch.tensor(weight, dtype=torch.float64))
        self.register_buffer("bias", torch.tensor(bias, dtype=torch.float64))

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n_images, n_dims) to probabilities (n_images, n_classes)."""
        logits = rows.double() @ self.weight.T + self.bias
        return logits.softmax(dim=1).float()


class ExportsEncoder:
    """Writes what a fitted estimator has learned for others than scikit-learn."""

    encoder_: nn.Sequential
    _fitted: Fitted
    _specification: Any

    def to_safetensors(self, path: str | os.PathLike[str]) -> None:
        """Write the weights of `encoder_` to a file of safetensors.

        `BYOLTransformer(encoder, weights=path)` with the same `encoder`, and `readout`,
        begins with them, and with `max_epochs=0` ends with them. Such a file holds
        numbers only, so that it is safe to read whoever wrote it. The shape of an
        image, the encoder and how its first layers were built are in its metadata.
        Needs safetensors: `pip install 'sklearn-byol[safetensors]'`.

        Parameters
        ----------
        path : path
            Where to write, ending in .safetensors; a file that is there is replaced
            when the new one is whole.

        Raises
        ------
        ValueError
            If the path has another ending.
        ImportError
            If safetensors is not installed.
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        save: Any = _imported("to_safetensors", "safetensors.torch").save
        target = Path(path).expanduser()
        if target.suffix != ".safetensors":
            raise ValueError(
                f"path={str(path)!r} must end in .safetensors, by which weights= knows "
                "how to read it."
            )
        encoder = self._specification.encoder
        about = {
            "sklearn_byol": __version__,
            "encoder": encoder if isinstance(encoder, str) else "",
            "image_shape": json.dumps(self._fitted.layout.shape),
            "keeps_stem": json.dumps(self._specification.keeps_stem),
        }
        weights = self.encoder_.state_dict().items()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in weights}
        write_whole(target, [save(tensors, metadata=about)])

    def to_onnx(self, path: str | os.PathLike[str], X: Any = None) -> None:
        """Write a file of ONNX that takes pixels as they are.

        The graph scales and normalises the pixels itself. It takes any number of images
        at a time, under the name "X", and gives float32 as "representations", or as
        "probabilities" if it is a classifier's, whose classes are in the metadata of
        the file. What is not in it: decoding and resizing of files, and the errors that
        transform raises for pixels of another range. Needs onnx, onnxscript and torch
        2.9 or newer: `pip install 'sklearn-byol[onnx]'`.

        Parameters
        ----------
        path : path
            Where to write; a file that is there is replaced when the new one is whole.
        X : array-like or Tensor, default=None
            One image or more, whose shape and dtype those of the graph are: rows, gray
            images or images with channels first or last, as transform takes them. None
            is images (n_images, height, width, n_channels), or (n_images, n_channels,
            height, width) where fit was given channels first or gray images without an
            axis for them; of uint8 where the pixels of fit were integers from 0 to 255,
            else of float32.

        Raises
        ------
        ValueError
            If X is not as transform takes it or has a dtype that ONNX lacks, or the
            encoder does what ONNX cannot express.
        ImportError
            If onnx or onnxscript is not installed, or torch is older than 2.9.
        sklearn.exceptions.NotFittedError
            If fit was not called.
        """
        check_is_fitted(self)
        onnx = _imported_onnx()
        pixels = self._sample(X)
        encoder = copy.deepcopy(self.encoder_).cpu().eval().requires_grad_(False)
        axes = axes_of(pixels.shape, self._fitted.layout)
        about: dict[str, Any] = {
            "sklearn_byol": __version__,
            "image_shape": list(self._fitted.layout.shape),
            "pixel_range": list(self._fitted.pixel_range),
        }
        name, head = "representations", None
        if isinstance(self, ClassifierMixin):
            name, head = "probabilities", Probabilities(self)
            about["classes"] = self.classes_.tolist()
        module = PixelsToRows(encoder, *axes, self._fitted.pixel_range, head).eval()
        graph = _traced(module, torch.from_numpy(pixels), name)
        onnx.helper.set_model_props(
            graph, {key: json.dumps(value) for key, value in about.items()}
        )
        write_whole(Path(path).expanduser(), [graph.SerializeToString()])

    def _sample(self, X: Any) -> NDArray[Any]:
        """Return two images of the layout and dtype that the graph is to take."""
        layout, pixel_range = self._fitted.layout, self._fitted.pixel_range
        if X is None:
            c, h, w = layout.shape
            shape = (h, w, c) if layout.is_channels_last else (c, h, w)
            is_bytes = self._fitted.was_counted and pixel_range == (0.0, 255.0)
            return np.zeros((N_TRIED, *shape), np.uint8 if is_bytes else np.float32)
        if as_items(X, layout.shape) is not None:
            raise ValueError(
                "to_onnx takes X as one array, since its graph does not decode images "
                "one by one. Pass X=None for a graph that takes decoded images."
            )
        estimator: Any = self
        array = as_array(estimator, X, reset=False, min_samples=1)
        check_pixel_range(array, pixel_range)
        # That of X itself: `as_array` may have shortened it, and a graph does not.
        dtype = X.dtype if isinstance(X, np.ndarray) else array.dtype
        sample: NDArray[Any] = np.zeros((N_TRIED, *array.shape[1:]), dtype)
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


def _imported_onnx() -> Any:
    """Import onnx, where all is there that writes a graph."""
    if torch.__version__ < OLDEST_TORCH:
        raise ImportError(
            f"to_onnx needs torch {OLDEST_TORCH} or newer, by which its way of "
            f"writing graphs had become torch's own. This is {torch.__version__}."
        )
    _imported("to_onnx", "onnxscript")
    return _imported("to_onnx", "onnx")


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
