"""An encoder as numpy arrays: small files that move between machines.

Tensors remember the device they were on and are opaque to joblib's memory map; arrays
are neither. What an encoder is made of is rebuilt from its specification.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_byol.networks import build_encoder
from sklearn_byol.training import seeded_torch

__all__ = ["Arrays", "EncoderSpecification", "encoder_arrays"]

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
    """

    encoder: str | nn.Module | Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    mean: list[float]
    std: list[float]

    def build(self, seed: int) -> nn.Sequential:
        """Build the encoder with random weights, on the CPU."""
        with seeded_torch(seed):
            return build_encoder(self.encoder, self.image_shape, self.mean, self.std)

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
