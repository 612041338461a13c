"""An encoder as numpy arrays: small files that move between machines.

Tensors remember the device they were on and are opaque to joblib's memory map; arrays
are neither. What an encoder is made of is rebuilt from its specification.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_byol._version import __version__
from sklearn_byol.networks import build_encoder
from sklearn_byol.training import seeded_torch

__all__ = ["EncoderSpecification", "SavesEncoder", "encoder_arrays"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class EncoderSpecification:
    """What `build_encoder` needs to build the same modules again.

    Attributes
    ----------
    encoder : str, nn.Module or callable
        The parameter of the estimator, as it was in fit.
    image_shape : tuple of int (n_channels, height, width)
        Shape of one image.
    mean, std : list of float of length n_channels
        Statistics of the images of fit.
    readout : int or "auto"
        The parameter of the estimator, as it was in fit.
    keeps_stem : bool
        Whether first layers are left as they are for weights of another training.
    """

    encoder: str | nn.Module | Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    mean: list[float]
    std: list[float]
    readout: int | str = "auto"
    keeps_stem: bool = False

    def build(self, seed: int) -> nn.Sequential:
        """Build the encoder with random weights, on the CPU."""
        with seeded_torch(seed):
            return build_encoder(
                self.encoder,
                self.image_shape,
                self.mean,
                self.std,
                self.readout,
                keeps_stem=self.keeps_stem,
            )

    def load(self, arrays: Arrays) -> nn.Sequential:
        """Build the encoder with these weights, on the CPU, in evaluation mode."""
        encoder = self.build(seed=0)
        # Copied, since a memory map may be read-only.
        state = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
        encoder.load_state_dict(state)
        return encoder.eval()


def encoder_arrays(encoder: nn.Module, cached: Arrays) -> Arrays:
    """View the weights as arrays, the cached ones where they still are the weights.

    The same array objects at each call let joblib write them once for many workers.
    """
    state = encoder.state_dict()
    return {
        name: cached[name]
        if name in cached and _shares_memory(cached[name], tensor)
        else tensor.detach().cpu().numpy()
        for name, tensor in state.items()
    }


def _shares_memory(array: NDArray[Any], tensor: torch.Tensor) -> bool:
    """Tell whether an array is a view of the tensor's memory."""
    return (
        tensor.device.type == "cpu"
        and array.shape == tuple(tensor.shape)
        and array.ctypes.data == tensor.data_ptr()
    )


class SavesEncoder:
    """Saves `encoder_` as arrays and `_specification`; nothing else of the training.

    A module of the user's own is saved as itself, on the CPU, since only the user knows
    how to build it.
    """

    encoder_: nn.Sequential
    _specification: EncoderSpecification
    _arrays: Arrays

    def __getstate__(self) -> dict[str, Any]:
        """Put arrays in place of the encoder."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state["_sklearn_byol_version"] = __version__
        parameter = getattr(self, "encoder", None)
        if isinstance(parameter, nn.Module):
            state["encoder"] = copy.deepcopy(parameter).cpu()
        encoder = state.pop("encoder_", None)
        if encoder is None:
            return state
        if isinstance(self._specification.encoder, nn.Module):
            state["encoder_"] = copy.deepcopy(encoder).cpu()
            del state["_arrays"]
            state["_specification"] = replace(
                self._specification, encoder=state["encoder_"]
            )
        else:
            self._arrays = encoder_arrays(encoder, self._arrays)
            state["_arrays"] = self._arrays
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the encoder again, on the CPU."""
        state = dict(state)
        state.pop("_sklearn_byol_version", None)
        super().__setstate__(state)  # type: ignore[misc]
        if "_arrays" in state:
            self.encoder_ = self._specification.load(self._arrays)
        elif "encoder_" in state:
            self._arrays = {}
